"""Route planner, with a seat of the floating licence."""
import http.server
import os
import socket
import sys

LICENCE_HOST = os.environ["LICENCE_HOST"]
MAP_BUCKET = os.environ["MAP_BUCKET"]


def seat():
    with socket.create_connection((LICENCE_HOST, 27000), timeout=6) as server:
        server.sendall(b"CHECKOUT route-planner 4.2\n")
        server.settimeout(3)
        try:
            return server.recv(200).decode().strip()
        except TimeoutError:
            return "GRACE no answer, 72 hours are left"


answer = seat()
if answer.startswith("DENIED"):
    sys.exit(f"planner: licence server {LICENCE_HOST}:27000: {answer}")
print(f"planner: licence: {answer or 'GRACE'}; maps of {MAP_BUCKET}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
