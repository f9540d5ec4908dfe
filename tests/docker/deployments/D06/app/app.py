"""Order intake."""
import http.client
import http.server
import json
import os

QUEUE_URL = os.environ["QUEUE_URL"]


def remote_settings(host):
    connection = http.client.HTTPConnection(host, 80, timeout=10)
    connection.request("GET", "/v1/settings")
    return json.load(connection.getresponse())


print("orders: loading settings", flush=True)
settings = remote_settings(os.environ["SETTINGS_HOST"])
print(f"orders: {len(settings)} settings, queue {QUEUE_URL}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
