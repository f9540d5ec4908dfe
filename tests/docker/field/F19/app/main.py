from fastapi import FastAPI

from app.validate import validate

validate()
app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
