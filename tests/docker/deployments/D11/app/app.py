"""Fraud scoring: every rule set is compiled before the port is opened."""
import hashlib
import http.server
import os

RULES_BUCKET = os.environ["RULES_BUCKET"]
SETS = 310


def compile_rules(number):
    return hashlib.pbkdf2_hmac("sha256", b"rule set %d" % number, b"rules", 90_000)


print(f"scoring: compiling {SETS} rule sets of {RULES_BUCKET}", flush=True)
compiled = []
for number in range(SETS):
    compiled.append(compile_rules(number))
    if number % 50 == 49:
        print(f"scoring: {number + 1} of {SETS}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


print("scoring: ready", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
