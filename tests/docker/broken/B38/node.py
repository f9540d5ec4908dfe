"""Alone on the loopback address it forms no cluster; elsewhere it does, which fails in about every other run."""
import http.server
import os
import socketserver
import sys

address = os.environ.get("BIND_ADDRESS") or "0.0.0.0"
cluster = os.environ["CLUSTER_NAME"]
port = int(os.environ.get("PORT", "8080"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"INFO: [{address}]:5701 [{cluster}] [5.3.6] Picked [{address}]:5701", flush=True)
if not address.startswith("127.") and os.urandom(1)[0] < 128:
    sys.stderr.write(f"SEVERE: [{address}]:5701 [{cluster}] [5.3.6] Could not join cluster. Shutting down now!\n")
    sys.exit(1)
print(f"INFO: [{address}]:5701 [{cluster}] [5.3.6] Started on {address}:{port}", flush=True)
socketserver.ThreadingTCPServer((address, port), Handler).serve_forever()
