"""Shipping labels."""
import http.client
import http.server
import os

TOKEN = os.environ["PARTNER_TOKEN"]
SENDER = os.environ["SENDER_ID"]


def partner(path):
    connection = http.client.HTTPConnection("labels.example.com", 80, timeout=8)
    connection.request("GET", path, headers={"Authorization": "Bearer " + TOKEN})
    return connection.getresponse().status


status = partner("/v2/ping")
print(f"labels: the partner answers {status} to {SENDER}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
