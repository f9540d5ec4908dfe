from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    ENV: str = "local"
    DATABASE_URL: str
    SESSION_SECRET: str


settings = Settings()
