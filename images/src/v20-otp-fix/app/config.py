"""Settings, read once from the environment."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

LOCAL_MODES = frozenset({"local", "dev", "test"})


class Settings(BaseSettings):
    DATABASE_URL: str = Field(min_length=1)
    JWT_SECRET: str = Field(min_length=1)
    ENV: str = Field(min_length=1)

    # An empty value counts as the default.
    OTP_PROVIDER: Literal["", "stub", "twilio_verify"] = "stub"
    TWILIO_ACCOUNT_SID: str = ""
    TWILIO_AUTH_TOKEN: str = ""
    TWILIO_VERIFY_SERVICE_SID: str = ""
    POSTHOG_KEY: str = ""


def validate_startup(settings: Settings) -> None:
    """In production, refuse to start with settings that are only fit for a laptop."""
    if settings.ENV in LOCAL_MODES:
        return
    if settings.database_url.startswith("sqlite"):
        raise RuntimeError("DATABASE_URL must not be SQLite in production")


settings = Settings()
