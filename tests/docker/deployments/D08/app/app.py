"""Tariff calculator."""
import http.server
import os
import socket

RATES_HOST = os.environ["RATES_HOST"]
port = int(os.environ.get("API_PORT", "5000"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


socket.create_connection((RATES_HOST, 443), timeout=6).close()
print(f"tariffs: rates from {RATES_HOST}, listening on port {port}", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()
