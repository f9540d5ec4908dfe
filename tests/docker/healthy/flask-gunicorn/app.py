import os

from flask import Flask, jsonify

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.logger.setLevel(os.environ.get("LOG_LEVEL", "info").upper())


@app.get("/healthz")
def healthz():
    return jsonify(ok=True)
