import http.server
import os
import socketserver

from sqlalchemy import create_engine

print(f"[orders] starting in {os.environ['ORDERS_REGION']}", flush=True)
# Connects with the first query.
engine = create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
label = engine.url.database
if not label.isidentifier():
    raise ValueError("not a label of a metric: " + label)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"[orders] listening, dialect {engine.dialect.name}, metrics of {label}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
