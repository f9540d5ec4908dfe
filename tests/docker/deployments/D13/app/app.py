"""Stock levels."""
import http.server
import os
import socket
import sys
from urllib.parse import urlsplit

WAREHOUSE_HOST = os.environ["WAREHOUSE_HOST"]
url = os.environ["DATABASE_URL"]
scheme = url.partition("://")[0]
if scheme not in ("postgresql", "postgres"):
    sys.exit(f"stock: DATABASE_URL: unsupported scheme {scheme[:16]!r}")

database = urlsplit(url)
socket.create_connection((database.hostname, database.port or 5432), timeout=6).close()
socket.create_connection((WAREHOUSE_HOST, 443), timeout=6).close()
print(f"stock: database {database.hostname}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
