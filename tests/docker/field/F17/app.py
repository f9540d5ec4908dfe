import http.server
import os

print("serving", os.environ.get("GREETING", "hello"), flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
