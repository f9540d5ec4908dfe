"""Chat relay: binds the address that the cluster knows it by."""
import http.server
import os
import socket
import sys

PEERS = os.environ["PEERS"].split(",")
PORT = int(os.environ["PORT"])
own = socket.gethostname()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


for peer in PEERS:
    socket.create_connection((peer, 443), timeout=6).close()
try:
    server = http.server.ThreadingHTTPServer((own, PORT), Handler)
except OSError as error:
    sys.exit(f"relay: cannot listen on {own}:{PORT}: {error}")
print(f"relay: {len(PEERS)} peers, listening on {own}:{PORT}", flush=True)
server.serve_forever()
