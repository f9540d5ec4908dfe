"""A bounded shutdown: after SIGTERM nothing holds the process for longer than the grace period."""

import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

from fastapi import FastAPI

GRACE_SECONDS = 0.5


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Chain uvicorn's SIGTERM handler, so that open requests and unsent events get a limit."""
    graceful = signal.getsignal(signal.SIGTERM)

    def on_sigterm(signum: int, frame: FrameType | None) -> None:
        limit = threading.Timer(GRACE_SECONDS, os._exit, args=(0,))
        limit.daemon = True
        limit.start()
        if callable(graceful):
            graceful(signum, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
    yield
