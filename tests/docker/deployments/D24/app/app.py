"""Reports, signed with the credentials of the instance role."""
import http.server
import json
import os
import socket
import urllib.request

REPORTS_TABLE = os.environ["REPORTS_TABLE"]


def credentials():
    uri = "http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    with urllib.request.urlopen(uri, timeout=6) as answer:
        return json.load(answer)


print("reports: asking for the credentials of the role", flush=True)
key = credentials()
socket.create_connection(("dynamodb.eu-central-1.amazonaws.com", 443), timeout=6).close()
print(f"reports: table {REPORTS_TABLE}, credentials until {key.get('Expiration')}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
