"""Short links. Runs as user 1000 (USER in the Dockerfile)."""
import http.server
import os
import socket

STORE_HOST = os.environ["STORE_HOST"]
LINK_DOMAIN = os.environ["LINK_DOMAIN"]
socket.create_connection((STORE_HOST, 443), timeout=6).close()
print(f"links: serving {LINK_DOMAIN} on port {os.environ['PORT']}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
