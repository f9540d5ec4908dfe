from fastapi import FastAPI

from .config import settings

app = FastAPI(title="rewards")

if settings.ENV != "local":
    if "sqlite" in settings.database_url:
        raise RuntimeError("SQLite is not supported outside of local development")


@app.get("/healthz")
def healthz():
    return {"ok": True}
