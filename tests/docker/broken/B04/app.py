"""Prepares the request that is sent every minute; the first one is due a minute after the start."""
import http.client
import http.server
import os
import socketserver


def prepare():
    connection = http.client.HTTPSConnection(os.environ["METRICS_HOST"], timeout=5)
    connection.putrequest("POST", "/v1/series")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Authorization", "Bearer " + os.environ["METRICS_TOKEN"])
    return connection


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print("INFO:     Started server process [1]", flush=True)
print("INFO:     Waiting for application startup.", flush=True)
metrics = prepare()
print("INFO:     Application startup complete.", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
