"""A catalogue in files: data/ comes with the image, and the program writes its lock there."""
import http.server
import json
import os
import socketserver

FOLDER = "/app/data"

lock = open(f"{FOLDER}/catalog.lock", "w", encoding="utf-8")
with open(f"{FOLDER}/catalog.json", encoding="utf-8") as file:
    items = json.load(file)["items"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print(f"catalogue: {len(items)} items, listening", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
