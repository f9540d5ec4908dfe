"""Migrations, before the server starts: `python3 -m app.migrate`. Nothing is tried twice; a failure ends the start."""

import argparse
import logging

from sqlalchemy import Connection, text

from app.db import get_engine

MIGRATIONS = {
    "0001_users": """
        CREATE TABLE users (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            phone text NOT NULL UNIQUE,
            created_at timestamptz NOT NULL DEFAULT now()
        )""",
    "0002_users_verified_at": "ALTER TABLE users ADD COLUMN verified_at timestamptz",
}
LOCK = 7_301_982  # any number, the same in every instance

log = logging.getLogger("migrate")


def applied(connection: Connection) -> set[str]:
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    )
    return set(connection.scalars(text("SELECT version FROM schema_migrations")))


def migrate() -> None:
    """Apply what is missing, all of it or nothing."""
    with get_engine().begin() as connection:
        # Instances start side by side.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        done = applied(connection)
        missing = [version for version in MIGRATIONS if version not in done]
        for version in missing:
            connection.execute(text(MIGRATIONS[version]))
            connection.execute(
                text("INSERT INTO schema_migrations (version) VALUES (:version)"),
                {"version": version},
            )
    for version in missing:
        log.info("applied %s", version)
    if not missing:
        log.info("nothing to apply")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="app.migrate", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    migrate()
