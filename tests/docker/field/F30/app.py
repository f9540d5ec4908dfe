import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(b'{"version": "1.0"}' if known else b'{"detail": "Not Found"}')


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
