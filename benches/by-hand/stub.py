"""A resolver and an HTTPS stub for the script beside this file: `stub.py FAULT CERT KEY`."""

import http.server
import socket
import ssl
import sys
import threading
import time

fault, cert, key = sys.argv[1:4]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET


def https():
    server = http.server.ThreadingHTTPServer(("198.18.0.1", 443), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def answer(query):
    end = query.index(0, 12) + 5
    question, kind = query[12:end], query[end - 4 : end - 2]
    code = {"dns.servfail": 2, "dns.nxdomain": 3}.get(fault, 0)
    record = b""
    if code == 0 and kind == b"\x00\x01":
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes([198, 18, 0, 1])
    flags = bytes([0x81, 0x80 | code])
    counts = b"\x00\x01" + (b"\x00\x01" if record else b"\x00\x00") + b"\x00\x00\x00\x00"
    return query[:2] + flags + counts + question + record


def reply(udp, query, source):
    if fault.startswith("dns.delay"):
        time.sleep(2)
    udp.sendto(answer(query), source)


try:
    threading.Thread(target=https, daemon=True).start()
except OSError:
    pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 53))
while True:
    query, source = udp.recvfrom(4096)
    if fault != "dns.drop":
        threading.Thread(target=reply, args=(udp, query, source), daemon=True).start()
