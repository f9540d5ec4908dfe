"""Invoices: amounts are written as the locale has them."""
import http.server
import locale
import os
import socketserver

locale.setlocale(locale.LC_ALL, os.environ.get("LC_ALL") or "C")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


amount = locale.format_string("%.2f", 1234.5, grouping=True)
print(f"invoices: amounts look like {amount} {os.environ['INVOICE_CURRENCY']}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
