import http.server
import socketserver


class app(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


def run(port):
    socketserver.ThreadingTCPServer(("0.0.0.0", port), app).serve_forever()
