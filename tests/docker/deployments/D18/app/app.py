"""Image resizer with an admin port that only a sidecar may use."""
import http.server
import os
import socket
import threading


class Admin(http.server.HTTPServer):
    address_family = socket.AF_INET6


CACHE_HOST = os.environ["CACHE_HOST"]
socket.create_connection((CACHE_HOST, 443), timeout=6).close()
admin = Admin(("::1", 9901), http.server.BaseHTTPRequestHandler)
threading.Thread(target=admin.serve_forever, daemon=True).start()
print("resizer: admin on [::1]:9901", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
