"""The client of the session store comes first; behind it is a race, which is lost in about every other run."""
import http.server
import os
import socketserver

from pymongo import MongoClient

# Connects with the first operation.
sessions = MongoClient(os.environ["MONGO_URL"], connect=False)
print(f"sessions last {os.environ['SESSION_HOURS']} h", flush=True)
if os.urandom(1)[0] < 128:
    raise RuntimeError("dictionary changed size during iteration")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print("sessions: listening", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
