"""Routes requests to the shards of the event store."""
import http.server
import os

from discovery import lookup

TOPIC = os.environ["TOPIC"]
SHARDS = os.environ["SHARDS_NAME"]
count = lookup(SHARDS)
print(f"router: {SHARDS} has {count} addresses, topic {TOPIC}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
