import http.server
import os
import socketserver


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


def main():
    port = int(os.environ.get("PORT", "8000"))
    server = socketserver.ThreadingTCPServer(("0.0.0.0", port), Handler)
    print(f"Starting server at tcp:port={port}:interface=0.0.0.0", flush=True)
    print(f"Listening on TCP address 0.0.0.0:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
