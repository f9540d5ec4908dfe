import http.server
import os
import socketserver

import settings

access = open("/app/logs/access.log", "a", encoding="utf-8")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"rentals: database {settings.DATABASE['HOST']}:{settings.DATABASE['PORT']}, listening", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
