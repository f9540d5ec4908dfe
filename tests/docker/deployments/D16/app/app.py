"""Orders: flags first, then the database."""
import http.client
import http.server
import json
import os
import socket
import sys
from urllib.parse import urlsplit

FLAGS_HOST = os.environ["FLAGS_HOST"]
SESSION_SECRET = os.environ["SESSION_SECRET"]

connection = http.client.HTTPConnection(FLAGS_HOST, 80, timeout=8)
connection.request("GET", "/flags")
flags = json.load(connection.getresponse())
print(f"orders: flags loaded from {FLAGS_HOST} ({len(flags)} set)", flush=True)

database = urlsplit(os.environ["DATABASE_URL"])
where = (database.hostname, database.port or 5432)
try:
    socket.create_connection(where, timeout=10).close()
except TimeoutError:
    sys.exit(f"orders: could not connect to server: Connection timed out: is {where[0]} accepting TCP connections on port {where[1]}?")
print("orders: database reached", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
