"""One-time passwords by text message."""
import http.server
import os
import socket

DATABASE_URL = os.environ["DATABASE_URL"]
JWT_SECRET = os.environ["JWT_SECRET"]
SMS_HOST = os.environ.get("SMS_HOST", "verify.twilio.com")


class SmsClient:
    """Keeps one connection to the provider open."""

    def __init__(self, host):
        self.connection = socket.create_connection((host, 443), timeout=8)


sms = SmsClient(SMS_HOST)
print(f"sms: connected to {SMS_HOST}:443", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
