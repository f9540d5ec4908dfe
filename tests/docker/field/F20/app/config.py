from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    ENV: str = "local"
    DATABASE_URL: str = "sqlite:///./app.db"
    PUBLIC_BASE_URL: str = "http://localhost:8001"


settings = Settings()
