"""Database engine: made on first use, so that starting does not need the database."""

from functools import lru_cache

from sqlalchemy import Engine, create_engine, text

from app.config import settings


@lru_cache
def get_engine() -> Engine:
    return create_engine(
        settings.DATABASE_URL,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 3},
    )


def ping() -> None:
    with get_engine().connect() as connection:
        connection.execute(text("SELECT 1"))
