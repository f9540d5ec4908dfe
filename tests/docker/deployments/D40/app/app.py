"""Customer portal."""
import http.server
import os
import socket

MODE = os.environ.get("APP_MODE", "development")
if MODE == "production":
    SESSION_SECRET = os.environ["SESSION_SECRET"]
    HOST = os.environ.get("HOSTNAME", "0.0.0.0")
else:
    SESSION_SECRET = "made-up-development-only"
    HOST = "0.0.0.0"

socket.create_connection((os.environ["CRM_HOST"], 443), timeout=6).close()
print(f"portal: {MODE} mode on http://{HOST}:{os.environ['PORT']}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer((HOST, int(os.environ["PORT"])), Handler).serve_forever()
