"""The HTTP interface."""

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from app import analytics, db, otp
from app.lifecycle import lifespan

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
    otp.start(body.phone)
    background.add_task(analytics.capture, "otp_started")
    return {"otp_sent": True}
