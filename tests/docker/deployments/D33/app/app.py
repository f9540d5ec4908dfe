"""Currency converter."""
import http.server
import os
import socket

from rates import load_table

FEED_HOST = os.environ["FEED_HOST"]
table = load_table(os.environ.get("RATES_FILE"))
socket.create_connection((FEED_HOST, 443), timeout=6).close()
print(f"converter: {len(table)} currencies", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
