import os

from fastapi import FastAPI

from app.core.security import check_secrets

ENV = os.getenv("ENV", "dev")

if ENV in ("prod", "production"):
    check_secrets()

app = FastAPI()


@app.get("/health")
async def health():
    return {"ok": True}
