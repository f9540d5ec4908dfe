import boto3
from botocore.config import Config
from fastapi import FastAPI

s3 = boto3.client("s3", region_name="eu-west-1", config=Config(connect_timeout=5, retries={"total_max_attempts": 1}))
s3.head_bucket(Bucket="exports")

app = FastAPI()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
