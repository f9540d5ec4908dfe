"""The HTTP interface."""

import asyncio

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from app import analytics, db
from app.config import settings, validate_startup
from app.lifecycle import lifespan
from app.otp import make_provider

validate_startup(settings)
provider = make_provider(settings)

app = FastAPI(title="signup", lifespan=lifespan)


class OtpStart(BaseModel):
    phone: str = Field(pattern=r"^\+[0-9]{7,15}$")


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/readyz")
def readyz() -> dict[str, bool]:
    try:
        db.ping()
    except SQLAlchemyError as error:
        raise HTTPException(503, "database unavailable") from error
    return {"ready": True}


@app.post("/v1/auth/otp/start")
async def start_otp(body: OtpStart, background: BackgroundTasks) -> dict[str, bool]:
    await asyncio.to_thread(provider.start, body.phone)
    background.add_task(analytics.capture, "otp_started")
    return {"otp_sent": True}
