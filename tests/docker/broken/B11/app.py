"""A program of Gin: everything but /status wants a token."""
import http.server
import os
import socketserver
import time

port = int(os.environ.get("PORT", "8080"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200 if self.path == "/status" else 401
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(b'{"status":"up"}' if status == 200 else b'{"error":"token required"}')
        stamp = time.strftime("%Y/%m/%d - %H:%M:%S")
        client = self.client_address[0]
        print(f'[GIN] {stamp} | {status} |      41.583\u00b5s | {client:>15} | GET      "{self.path}"', flush=True)

    def log_message(self, *_):
        pass


print('[GIN-debug] [WARNING] Running in "debug" mode. Switch to "release" mode in production.')
print("[GIN-debug] GET    /status                   --> main.status (3 handlers)")
print("[GIN-debug] GET    /v1/accounts/:id          --> main.account (4 handlers)")
print(f"[GIN-debug] Listening and serving HTTP on :{port}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", port), Handler).serve_forever()
