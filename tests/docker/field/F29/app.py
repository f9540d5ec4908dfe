import base64
import os

import uvicorn
from fastapi import FastAPI, Request, Response

app = FastAPI()
PASSWORD = os.environ.get("ADMIN_PASSWORD", "admin")


@app.middleware("http")
async def authenticate(request: Request, call_next):
    expected = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    if request.headers.get("authorization") != expected:
        return Response(status_code=401, headers={"WWW-Authenticate": "Basic"})
    return await call_next(request)


@app.get("/")
def root():
    return {"hello": "admin"}


uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
