"""Loyalty points."""
import http.server
import os
import socket

LEDGER_HOST = os.environ["LEDGER_HOST"]
socket.create_connection((LEDGER_HOST, 443), timeout=6).close()
print("loyalty: ready", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
