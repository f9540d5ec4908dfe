def app(environ, start_response):
    known = environ["PATH_INFO"] == "/healthz"
    start_response("200 OK" if known else "404 Not Found", [("Content-Type", "text/plain")])
    return [b"ok\n" if known else b"not found\n"]
