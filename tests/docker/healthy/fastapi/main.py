import os

from fastapi import FastAPI

# Connected to by the first request that needs it.
DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite://")
app = FastAPI(docs_url=None if os.environ.get("ENV") == "production" else "/docs")


@app.get("/healthz")
async def healthz():
    return {"ok": True}
