from fastapi import FastAPI
from pydantic import PostgresDsn
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: PostgresDsn = "postgresql://app@localhost:5432/app"
    pool_size: int = 5


settings = Settings()
app = FastAPI()


@app.get("/")
def root():
    return {"pool": settings.pool_size}
