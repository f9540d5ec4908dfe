"""Asks the name server itself for the addresses of a service."""
import os
import socket
import struct


def name_server():
    with open("/etc/resolv.conf") as lines:
        for line in lines:
            if line.startswith("nameserver"):
                return line.split()[1]
    return "127.0.0.1"


def question(name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def lookup(name):
    """The number of addresses that the name has."""
    ask = question(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.sendto(ask, (name_server(), 53))
        answer = udp.recv(4096)
    if struct.unpack("!H", answer[2:4])[0] & 0x0200:
        try:
            with socket.create_connection((name_server(), 53), timeout=5) as tcp:
                tcp.sendall(struct.pack("!H", len(ask)) + ask)
                answer = tcp.recv(4096)[2:]
        except OSError:
            answer = b""
        if not answer:
            raise LookupError(f"{name}: the answer is truncated (TC), and the name server does not answer over TCP")
    return struct.unpack("!H", answer[6:8])[0]
