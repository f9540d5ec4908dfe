"""Member area."""
import os
import socket

import uvicorn
from fastapi import FastAPI

from config import settings

app = FastAPI()


def check_database(url):
    if url.startswith("sqlite"):
        raise RuntimeError("SQLite is not for production")


if settings.ENV == "production":
    check_database(settings.database_url)

# Fails early where the mail relay is not there.
socket.create_connection((os.environ["MAIL_HOST"], 587), timeout=6).close()


@app.get("/healthz")
def healthz():
    return {"env": settings.ENV}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
