import os

import psycopg
from fastapi import FastAPI

with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5) as connection:
    connection.execute("select 1")

app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
