"""Ticket sales."""
import http.server
import os
import socket
from concurrent.futures import ThreadPoolExecutor

QUEUE_HOST = os.environ["QUEUE_HOST"]
EVENT_ID = os.environ["EVENT_ID"]
workers = ThreadPoolExecutor(max_workers=int(os.environ.get("WORKERS", "4")))
socket.create_connection((QUEUE_HOST, 443), timeout=6).close()
print(f"tickets: event {EVENT_ID}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
