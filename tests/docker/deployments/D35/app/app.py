"""Alerts by text message."""
import http.server
import os
import socket

ACCOUNT = os.environ["SMS_ACCOUNT"]
SENDER = os.environ["SMS_SENDER"]

provider = socket.create_connection(("verify.twilio.com", 443), timeout=8)
print(f"alerts: {ACCOUNT} sends as {SENDER}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
