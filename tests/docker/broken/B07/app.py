import http.server
import os
import socketserver

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

url = make_url(os.environ["DATABASE_URL"])
if url.drivername == "postgresql":
    url = url.set(drivername="postgresql+psycopg")
# Connects with the first query.
engine = create_engine(url, pool_size=5)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"crm for {os.environ.get('CRM_TEAM', 'everybody')}: listening", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
