import asyncio
import os


async def serve(reader, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def main():
    broker = os.environ.get("BROKER", "broker.internal:9092")
    host, port = broker.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # The broker greets first.
    await reader.readline()
    server = await asyncio.start_server(serve, "0.0.0.0", 8080)
    await server.serve_forever()


asyncio.run(main())
