"""Storefront."""
import http.server
import os
import socket

CMS_HOST = os.environ["CMS_HOST"]
host = os.environ.get("HOSTNAME", "0.0.0.0")
port = int(os.environ["PORT"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


socket.create_connection((CMS_HOST, 443), timeout=6).close()
print(f"storefront: ready on http://{host}:{port}", flush=True)
http.server.ThreadingHTTPServer((host, port), Handler).serve_forever()
