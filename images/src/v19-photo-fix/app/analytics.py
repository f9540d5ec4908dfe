"""Product analytics with PostHog: best effort, no request waits for it or fails with it."""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from app.config import settings

if TYPE_CHECKING:
    from posthog import Posthog

log = logging.getLogger(__name__)


@lru_cache
def _client() -> "Posthog":
    from posthog import Posthog  # slow to import, and only needed with a key

    return Posthog(settings.POSTHOG_KEY, timeout=3, max_retries=1)


def capture(event: str) -> None:
    """Queue an event; its own thread sends it later. Run as a background task."""
    if not settings.POSTHOG_KEY:
        return
    try:
        _client().capture(event, properties={"env": settings.ENV})
    except Exception:
        log.warning("analytics event %r dropped", event, exc_info=True)
