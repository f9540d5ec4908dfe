"""Recommendations: loads the model, then warms it."""
import hashlib
import http.server
import os

MODEL = os.environ["MODEL"]
LAYERS = 300

print(f"recommend: loading {MODEL} (640 MB)", flush=True)
weights = [b"\x02" * (1024 * 1024) for _ in range(640)]
print("recommend: warming", flush=True)
for layer in range(LAYERS):
    hashlib.pbkdf2_hmac("sha256", b"layer %d" % layer, b"model", 92_000)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print("recommend: ready", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
