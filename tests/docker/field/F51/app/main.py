import os
import socket
import sys
import time

from fastapi import FastAPI

# Five attempts, one second apart: as long as the network took in the old place.
HOST = os.environ.get("CONFIG_HOST", "config.example.com")
for attempt in range(5):
    try:
        socket.getaddrinfo(HOST, 443)
        break
    except socket.gaierror as error:
        print(f"attempt {attempt + 1}: {error}", file=sys.stderr, flush=True)
        time.sleep(1)
else:
    sys.exit(f"giving up on {HOST}")

app = FastAPI()
