import http.server
import os
import socketserver

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    jwt_secret: str
    smtp_host: str
    public_url: str
    session_minutes: int = 60


settings = Settings()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"members: serving {settings.public_url}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
