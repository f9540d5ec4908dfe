import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root():
    return {"version": "1.0"}


uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
