import os

from fastapi import FastAPI
from sqlalchemy import create_engine, text

engine = create_engine(os.environ["DATABASE_URL"], connect_args={"connect_timeout": 5})
with engine.connect() as connection:
    connection.execute(text("create table if not exists users (id serial primary key)"))
    connection.commit()

app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
