"""The simulated internet: at every address it answers on these ports with HTTP, or HTTPS for any name, else it listens.

Argument, as JSON: the ports, and how the answers of some addresses differ.
"""
import functools, http.server, json, os, re, socket, ssl, subprocess, sys, threading, time

plan = json.loads(sys.argv[1])
METADATA, CREDENTIALS = "169.254.170.2", "/v2/credentials/11111111-2222-3333-4444-555555555555"
ROLE = {
    "RoleArn": "arn:aws:iam::000000000000:role/simulated",
    "AccessKeyId": "ASIASIMULATED0000000",
    "SecretAccessKey": "simulated",
    "Token": "simulated",
    "Expiration": "2099-12-31T23:59:59Z",
}
NEW_KEY = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
CA = "-CA /run/exitone/ca.pem -CAkey /tmp/ca.key -extensions usr_cert -keyout /tmp/leaf.key -out /tmp/leaf.pem"
METHODS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"PATC", b"DELE", b"OPTI")
making = threading.Lock()


@functools.cache
def certificate(name):
    """The TLS context of a server of this name, with a certificate that the candidate trusts."""
    kind = "IP" if re.fullmatch(r"[\d.]+", name) else "DNS"
    text = f"{NEW_KEY} {CA} -subj /CN=exitone-repro-server -addext subjectAltName={kind}:{name}"
    subprocess.run(text.split(), check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/leaf.pem", "/tmp/leaf.key")
    context.sni_callback = show
    return context


def show(stream, name, _):
    if name and re.fullmatch(r"[\w.-]+", name):
        with making:
            stream.context = certificate(name)


def credentials(path):
    return 403, '{"code":"AccessDenied","message":"the role cannot be assumed"}'  # metadata.denied
    if path != CREDENTIALS:
        return 404, '{"code":"NotFound"}'
    time.sleep(plan["metadata"])  # metadata.slow
    return 200, json.dumps(ROLE)


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        address = self.connection.getsockname()[0]
        status, body = credentials(self.path) if address == METADATA else (200, "{}")
        time.sleep(plan["slow"].get(address, 0))  # upstream.slow
        if address in plan["denied"]:  # upstream.denied
            status, body = 401, '{"message":"Unauthorized"}'  # upstream.denied
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


def serve(stream):
    address, port = stream.getsockname()
    denied = address in plan["denied"]  # upstream.denied
    try:
        if denied and port == 3306:  # MySQL speaks first  # upstream.denied
            return refuse(stream, port, b"")  # upstream.denied
        first = stream.recv(8, socket.MSG_PEEK)
        if first[:1] == b"\x16":  # a TLS handshake
            with making:
                context = certificate(address)
            stream = context.wrap_socket(stream, server_side=True)
            Answer(stream, (address, port), None)
        elif first[:4] in METHODS:
            Answer(stream, (address, port), None)
        elif denied:  # upstream.denied
            refuse(stream, port, first)  # upstream.denied
        else:
            while stream.recv(65536):  # an unknown protocol: only read
                pass
    except (OSError, ValueError):
        pass  # the client is gone, or sent nonsense
    finally:
        stream.close()


def listen(listener):
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


listeners = []
for port in plan["ports"]:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Nothing listens on the other link, `closed`.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    listener.bind(("", port))
    listener.listen(128)
    listeners.append(listener)
# The caller may go on: the rest runs in the background.
if os.fork():
    os._exit(0)
os.setsid()
for number in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
for listener in listeners[1:]:
    threading.Thread(target=listen, args=(listener,), daemon=True).start()
listen(listeners[0])
