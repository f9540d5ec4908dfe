"""Calendar sync: trades its refresh token for an access token when it starts."""
import http.client
import http.server
import json
import os
import sys

AUTH_HOST = os.environ["AUTH_HOST"]
REFRESH_TOKEN = os.environ["REFRESH_TOKEN"]

connection = http.client.HTTPConnection(AUTH_HOST, 80, timeout=8)
connection.request("POST", "/oauth/token", json.dumps({"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}))
answer = json.load(connection.getresponse())
if answer.get("error"):
    sys.exit(f"sync: {AUTH_HOST} refused the token: {answer['error']}: {answer.get('error_description')}")
access_token = answer.get("access_token", "")
print("sync: signed in", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
