import http.server
import os
import socketserver

import driver


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"audit: libpq {driver.version()}, database of {len(os.environ['DATABASE_URL'])} characters", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
