import os


def check_secrets():
    if os.getenv("JWT_SECRET", "dev-secret") == "dev-secret":
        raise ValueError("JWT secret must be changed from its default in production")
    if os.getenv("DATABASE_URL", "sqlite:///./dev.db").startswith("sqlite"):
        raise ValueError("sqlite is not a production database")
    if os.getenv("OTP_PROVIDER", "stub") == "stub":
        raise ValueError("OTP provider 'stub' is not allowed in production")
