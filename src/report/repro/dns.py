"""The candidate's resolver: 127.0.0.1:53, UDP and TCP. Argument: addresses and faults by name, as JSON."""
import json, os, re, socket, sys, threading, time

plan = json.loads(sys.argv[1])
names = plan["names"]
OWN = ("localhost", "ip-10-0-248-213", "ip-10-0-248-213.ec2.internal")  # dns.*
STARTED = "/tmp/started"  # dns.late
lock = threading.Lock()


def address_of(name):
    """Every name has its own address in 198.18.0.0/15, reserved for tests; an address resolves to itself."""
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name):
        return name
    with lock:
        number = len(names) + 1
        return names.setdefault(name, f"198.18.{number >> 8 & 255}.{number & 255}")


def fault_of(name):  # dns.*
    nothing = ("", 0)  # dns.*
    return nothing if name in OWN else plan["faults"].get(name) or plan["faults"].get("*", nothing)  # dns.*


def answer(query, udp):
    """The answer to a query, or None."""
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode("latin-1"))
        end += 1 + query[end]
    name, kind = ".".join(labels).lower(), int.from_bytes(query[end + 1 : end + 3], "big")
    # There are only records of type A (1); no address has a name (PTR, 12): NXDOMAIN (3).
    code = 3 if kind == 12 else 0
    fault, seconds = fault_of(name)  # dns.*
    if fault == "drop":  # dns.drop
        return None  # dns.drop
    if fault == "truncated":  # dns.truncated
        if not udp:  # dns.truncated
            time.sleep(3)  # dns.truncated
            raise TimeoutError  # The connection is closed.  # dns.truncated
        # TC is set, and there is no record.  # dns.truncated
        return query[:2] + b"\x83\x80\0\1" + bytes(6) + query[12 : end + 5]  # dns.truncated
    started = os.path.exists(STARTED) and time.time() - os.path.getmtime(STARTED)  # dns.late
    if fault == "late" and started < seconds:  # dns.late
        return None  # dns.late
    if fault == "delay":  # dns.delay
        time.sleep(seconds)  # dns.delay
    if fault == "servfail":  # dns.servfail
        code = 2  # dns.servfail
    if fault == "nxdomain":  # dns.nxdomain
        code = 3  # dns.nxdomain
    record = b""
    if code == 0 and kind == 1:
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address_of(name))
    counts = b"\0\1" + (b"\0\1" if record else b"\0\0") + bytes(4)
    return query[:2] + bytes((0x81, 0x80 | code)) + counts + query[12 : end + 5] + record


def reply(query, sender):
    message = answer(query, True)
    if message is not None:
        udp.sendto(message, sender)


def converse(stream):
    with stream, stream.makefile("rb") as questions:
        while length := questions.read(2):
            message = answer(questions.read(int.from_bytes(length, "big")), False)
            if message is not None:
                stream.sendall(len(message).to_bytes(2, "big") + message)


def serve_tcp():
    if tcp_is_closed:  # dns.truncated
        return  # dns.truncated
    while True:
        threading.Thread(target=converse, args=(tcp.accept()[0],), daemon=True).start()


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 53))
tcp = socket.create_server(("127.0.0.1", 53))
tcp_is_closed = plan["faults"].get("*", [""])[0] == "truncated"  # dns.truncated
if tcp_is_closed:  # dns.truncated
    # A backlog that one connection fills for good: the kernel drops all others.  # dns.truncated
    tcp.listen(0)  # dns.truncated
    only = socket.create_connection(("127.0.0.1", 53))  # dns.truncated
# The caller may go on: the rest runs in the background.
if os.fork():
    os._exit(0)
os.setsid()
for number in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
threading.Thread(target=serve_tcp, daemon=True).start()
while True:
    threading.Thread(target=reply, args=udp.recvfrom(4096), daemon=True).start()
