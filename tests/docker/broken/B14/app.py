"""Computes for 38 s of one CPU before the port is opened; the health check gives up after 25 s."""
import hashlib
import http.server
import os
import socketserver
import time

CPU_SECONDS = 38

print(f"ranker: building the index of {os.environ['MODEL']}", flush=True)
told = 0
while time.process_time() < CPU_SECONDS:
    hashlib.pbkdf2_hmac("sha256", b"segment", b"index", 50_000)
    percent = int(time.process_time() * 100 / CPU_SECONDS)
    if percent >= told + 20:
        told = percent - percent % 20
        print(f"ranker: {told} % of the segments", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print("ranker: ready", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
