"""Store finder: looks up its own region once, when it starts."""
import http.client
import http.server
import json
import os

GEO_HOST = os.environ["GEO_HOST"]
GEO_KEY = os.environ["GEO_KEY"]


class QuotaExceeded(Exception):
    pass


connection = http.client.HTTPConnection(GEO_HOST, 80, timeout=8)
connection.request("GET", "/v1/lookup?q=Utrecht", headers={"X-Api-Key": GEO_KEY})
answer = json.load(connection.getresponse())
if answer.get("status") == "OVER_QUERY_LIMIT":
    raise QuotaExceeded(f"{GEO_HOST}: {answer.get('message')}")
print(f"finder: {len(answer.get('results', []))} regions", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
