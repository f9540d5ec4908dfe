import os

import requests
from fastapi import FastAPI

# The keys that tokens are checked with.
KEYS = requests.get(os.environ["JWKS_URL"], timeout=15).json()

app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
