"""Event store: one descriptor for every open segment."""
import http.server
import os
import resource
import sys

SEGMENTS_HOST = os.environ["SEGMENTS_HOST"]
NEEDED = 16384

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft < NEEDED:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED, max(hard, NEEDED)))
    except (ValueError, OSError) as error:
        sys.exit(f"bootstrap check failed: max file descriptors [{soft}] is too low, increase to at least [{NEEDED}] ({error})")
print(f"events: segments from {SEGMENTS_HOST}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
