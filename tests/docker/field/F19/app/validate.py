"""Checks of the environment that only matter in production."""

import logging
import os
import sys

log = logging.getLogger("config")

REQUIRED_IN_PROD = ["DATABASE_URL", "JWT_SECRET", "FRONTEND_ORIGIN"]


def validate():
    if os.getenv("APP_ENV", "local") != "production":
        return
    missing = [name for name in REQUIRED_IN_PROD if not os.getenv(name)]
    if missing:
        log.error("CRITICAL: configuration is incomplete: %s", ", ".join(missing))
        sys.exit(1)
