"""Status page."""
import http.server
import os

TITLE = os.environ.get("PAGE_TITLE", "Status")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TITLE.encode())


port = int(os.environ.get("PORT", "8080"))
print(f"status: listening on 0.0.0.0:{port}", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()
