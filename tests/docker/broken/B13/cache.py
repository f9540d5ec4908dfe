"""Speaks as much of Redis as a client needs to say hello. A browser's request is taken for an attack, as there."""
import socket
import threading
import time


def log(text):
    print(f"1:M {time.strftime('%d %b %Y %H:%M:%S.000')} {text}", flush=True)


def talk(connection, address):
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            words = line.strip().upper().split()
            if words[:1] in ([b"HOST:"], [b"POST"]):
                log(
                    "# Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to "
                    "Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise "
                    f"your Redis instance. Connection from {address[0]}:{address[1]} aborted."
                )
                return
            if words == [b"PING"]:
                connection.sendall(b"+PONG\r\n")
            elif words[:1] == [b"GET"]:
                connection.sendall(b"-ERR wrong number of arguments for 'get' command\r\n")


log("* oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
log("* Running mode=standalone, port=6379.")
server = socket.create_server(("0.0.0.0", 6379))
log("* Server initialized")
log("* Ready to accept connections tcp")
while True:
    threading.Thread(target=talk, args=server.accept(), daemon=True).start()
