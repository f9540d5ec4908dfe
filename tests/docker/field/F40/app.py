"""Starts as a large JVM application does: classes are loaded and proxies are made, one after the other."""

import hashlib
import http.server
import os

BEANS = 1240


def make_bean(number):
    # Some milliseconds of one CPU.
    return hashlib.pbkdf2_hmac("sha256", b"bean %d" % number, b"context", 28_000)


print("Starting Application using one thread", flush=True)
context = [make_bean(number) for number in range(BEANS)]
print(f"Started Application, {len(context)} beans", flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
