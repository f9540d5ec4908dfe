import http.server
import logging
import os
import socketserver

logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("shop")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *args):
        log.info(*args)


server = socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler)
log.info("%s, prices in %s", os.environ["SHOP_TITLE"], os.environ["SHOP_CURRENCY"])
log.info("listening on %s:%s", *server.server_address)
server.serve_forever()
