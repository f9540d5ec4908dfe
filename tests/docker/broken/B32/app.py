import http.server
import os
import socketserver

port = int(os.environ.get("PORT", "8080"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler)
print(" * Serving Flask app 'app'\n * Debug mode: off")
print(
    "WARNING: This is a development server. Do not use it in a production deployment. "
    "Use a production WSGI server instead."
)
print(f" * Running on http://127.0.0.1:{port}\nPress CTRL+C to quit", flush=True)
server.serve_forever()
