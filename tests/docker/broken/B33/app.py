import http.server
import json
import os
import socketserver

with open("/app/config/production.json", encoding="utf-8") as file:
    config = json.load(file)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"release {os.environ['RELEASE']}, pool of {config['pool']}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
