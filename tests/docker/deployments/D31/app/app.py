"""Price list: reads the plans that marketing keeps, and works out the monthly price."""
import http.client
import http.server
import json
import os

PLANS_HOST = os.environ["PLANS_HOST"]
CURRENCY = os.environ["CURRENCY"]


def monthly(plan):
    return plan["yearly_cents"] / 12


connection = http.client.HTTPConnection(PLANS_HOST, 80, timeout=8)
connection.request("GET", "/plans")
plans = json.load(connection.getresponse()).get("plans", [])
prices = {plan["name"]: monthly(plan) for plan in plans}
print(f"prices: {len(prices)} plans in {CURRENCY}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
