import os
import sys

from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"], connect_args={"connect_timeout": 5})
try:
    connection = engine.connect()
except Exception:
    # Logging is set up later.
    sys.exit(1)

from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
