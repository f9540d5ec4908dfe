"""Appointments."""
import http.server
import os
import socket

DATABASE_URL = os.environ["DATABASE_URL"]
REMINDER_KEY = os.environ["REMINDER_KEY"]
socket.create_connection(("calendar.example.com", 443), timeout=6).close()
print("appointments: ready", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
