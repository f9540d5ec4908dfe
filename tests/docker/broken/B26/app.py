"""Keeps every segment of its index open."""
import http.server
import os
import socketserver

SEGMENTS = 200

print(f"index {os.environ['INDEX']}: opening {SEGMENTS} segments", flush=True)
segments = [open("/app/segment.bin", "rb") for _ in range(SEGMENTS)]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"index {os.environ['INDEX']}: {len(segments)} segments, listening", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
