from fastapi import FastAPI

from app import sms

app = FastAPI()


@app.post("/otp")
def otp(phone: str):
    sms.client.session.post(f"{sms.client.base}/Verifications", data={"To": phone}, timeout=10)
    return {"sent": True}


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
