import asyncio
import logging
import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


async def main():
    broker = os.environ.get("BROKER", "broker.internal:9092")
    host, port = broker.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # The broker greets first.
    await reader.readline()
    server = uvicorn.Server(uvicorn.Config(app, host="0.0.0.0", port=8080, log_level=logging.ERROR))
    await server.serve()


asyncio.run(main())
