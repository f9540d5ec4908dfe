"""Payments: the provider first, then our own ledger."""
import http.client
import http.server
import os
import socket

PROVIDER = os.environ["PROVIDER_HOST"]
LEDGER = os.environ["LEDGER_HOST"]

connection = http.client.HTTPConnection(PROVIDER, 80, timeout=8)
connection.request("GET", "/healthcheck")
print(f"payments: {PROVIDER} answers {connection.getresponse().status}", flush=True)

ledger = socket.create_connection((LEDGER, 8443), timeout=8)
print(f"payments: ledger at {LEDGER}:8443", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
