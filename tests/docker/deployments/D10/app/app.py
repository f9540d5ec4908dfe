"""Translations."""
import os
import socket

import uvicorn
from fastapi import FastAPI

GLOSSARY_HOST = os.environ["GLOSSARY_HOST"]
DEEP_KEY = os.environ["ENGINE_KEY"]
app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


if __name__ == "__main__":
    socket.create_connection((GLOSSARY_HOST, 80), timeout=6).close()
    uvicorn.run(app, port=int(os.environ["PORT"]))
