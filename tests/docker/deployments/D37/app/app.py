"""Course catalogue."""
import http.server
import os
import socket
import sys
from urllib.parse import urlsplit

CAMPUS = os.environ["CAMPUS"]
database = urlsplit(os.environ["DATABASE_URL"])
if not database.hostname:
    sys.exit(f"courses: DATABASE_URL names no host: it begins with {os.environ['DATABASE_URL'][:2]!r}")
socket.create_connection((database.hostname, database.port or 5432), timeout=8).close()
print(f"courses: {CAMPUS}, database {database.hostname}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
