"""Checkout API. Settings are checked before anything else is done."""
import http.server
import os
import socket
import sys

REQUIRED = ["DATABASE_URL", "SIGNING_KEY"]

if os.environ.get("APP_ENV", "local") == "production":
    missing = [name for name in REQUIRED if not os.environ.get(name)]
    if missing:
        print("CRITICAL config: refusing to start in production without " + ", ".join(missing), file=sys.stderr)
        sys.exit(1)

# Prices are warmed once, so that the first customer does not wait.
socket.create_connection((os.environ.get("PRICES_HOST", "prices.example.com"), 80), timeout=6).close()
print("checkout: prices warmed", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
