"""Feedback form."""
import os
import socket

SLACK_WEBHOOK = os.environ["SLACK_WEBHOOK"]
DATABASE_URL = os.environ["DATABASE_URL"]

server = socket.socket()
server.bind(("0.0.0.0", int(os.environ["PORT"])))
server.listen()
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    client.close()
