"""Settings, read once from the environment."""

from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    DATABASE_URL: str = Field(min_length=1)
    JWT_SECRET: str = Field(min_length=1)
    ENV: str = Field(min_length=1)

    TWILIO_ACCOUNT_SID: str = ""
    TWILIO_AUTH_TOKEN: str = ""
    TWILIO_VERIFY_SERVICE_SID: str = ""
    POSTHOG_KEY: str = ""


settings = Settings()
