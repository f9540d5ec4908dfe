import http.server
import os
import socketserver

PLANS = {"north-eu": {"seats": 20}, "south-eu": {"seats": 5}}


def plan(region):
    return PLANS.get(region)


seats = plan("north")["seats"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"{os.environ['WELCOME_TEXT']}: {seats} seats for {os.environ['TENANT']}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
