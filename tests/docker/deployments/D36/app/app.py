"""Chat history."""
import http.server
import os
import socket

import orjson

ARCHIVE_HOST = os.environ["ARCHIVE_HOST"]
socket.create_connection((ARCHIVE_HOST, 443), timeout=6).close()
print(orjson.dumps({"event": "history.ready"}).decode(), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
