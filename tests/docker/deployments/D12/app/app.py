"""Search by meaning: the whole index is held in memory."""
import http.server
import os
import socket

INDEX_MB = int(os.environ.get("INDEX_MB", "700"))
VECTORS_HOST = os.environ["VECTORS_HOST"]

socket.create_connection((VECTORS_HOST, 443), timeout=6).close()
print(f"search: loading the index ({INDEX_MB} MB)", flush=True)
index = [b"\x01" * (1024 * 1024) for _ in range(INDEX_MB)]
print("search: the index is loaded", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
