"""Booking service."""
import http.server
import os

API_KEYS = os.environ["PARTNER_KEYS"].split(",")
print(f"bookings: {len(API_KEYS)} partner keys", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
