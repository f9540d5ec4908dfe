"""Answers as Django does: a Host header that ALLOWED_HOSTS lacks is a bad request, whatever the path."""
import http.server
import os
import socketserver
import sys

ALLOWED_HOSTS = [host for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "").split(",") if host]
port = int(os.environ.get("PORT", "8000"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = self.headers.get("Host", "")
        host = said.rsplit(":", 1)[0]
        if "*" in ALLOWED_HOSTS or host in ALLOWED_HOSTS:
            self.send_response(200 if self.path == "/healthz/" else 404)
            self.end_headers()
            return
        sys.stderr.write(
            f"Invalid HTTP_HOST header: '{said}'. You may need to add '{host}' to ALLOWED_HOSTS.\n"
            f"Bad Request: {self.path}\n"
        )
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Bad Request (400)</title><h1>Bad Request (400)</h1>")

    def log_message(self, *_):
        pass


server = socketserver.ThreadingTCPServer(("0.0.0.0", port), Handler)
print("[2024-06-03 07:40:12 +0000] [1] [INFO] Starting gunicorn 22.0.0", flush=True)
print(f"[2024-06-03 07:40:12 +0000] [1] [INFO] Listening at: http://0.0.0.0:{port} (1)", flush=True)
server.serve_forever()
