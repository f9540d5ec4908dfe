import os
from urllib.parse import urlparse

import uvicorn
from fastapi import FastAPI

BACKEND = urlparse(os.environ["BACKEND_URL"])
if BACKEND.scheme not in ("http", "https"):
    raise ValueError(f"BACKEND_URL must be an http(s) URL, got {BACKEND.geturl()!r}")

app = FastAPI()


@app.get("/")
def root():
    return {"backend": BACKEND.netloc}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
