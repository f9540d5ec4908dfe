"""Newsletter sign-up."""
import http.server
import os
import socket

import structlog

log = structlog.get_logger()
LIST_ID = os.environ["LIST_ID"]
MAIL_KEY = os.environ["MAIL_API_KEY"]

socket.create_connection(("api.mail.example.com", 443), timeout=6).close()
log.info("newsletter.ready", list=LIST_ID)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
