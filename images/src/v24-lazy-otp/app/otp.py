"""One-time passwords by text message, from a provider made on first use."""

import asyncio
import logging
from functools import lru_cache
from typing import Protocol

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from app.config import Settings, settings

TIMEOUT_SECONDS = 2.0  # of one attempt
RETRIES = 1
TOTAL_SECONDS = 5.0  # of a whole call, name resolution included

log = logging.getLogger(__name__)


class OtpUnavailable(Exception):
    """The provider could not be reached, or refused."""


class OtpProvider(Protocol):
    def start(self, phone: str) -> None: ...


class StubProvider:
    """Sends nothing."""

    def start(self, phone: str) -> None:
        log.info("stub OTP provider: nothing sent")


class TwilioVerifyProvider:
    def __init__(self, settings: Settings) -> None:
        http_client = TwilioHttpClient(timeout=TIMEOUT_SECONDS, max_retries=RETRIES)
        client = Client(
            settings.TWILIO_ACCOUNT_SID,
            settings.TWILIO_AUTH_TOKEN,
            http_client=http_client,
        )
        self._service = client.verify.v2.services(settings.TWILIO_VERIFY_SERVICE_SID)

    def start(self, phone: str) -> None:
        self._service.verifications.create(to=phone, channel="sms")


@lru_cache
def get_provider() -> OtpProvider:
    if settings.OTP_PROVIDER == "twilio_verify":
        return TwilioVerifyProvider(settings)
    return StubProvider()


def _start(phone: str) -> None:
    get_provider().start(phone)


async def start(phone: str) -> None:
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            await asyncio.to_thread(_start, phone)
    except (RequestException, TwilioException, TimeoutError) as error:
        log.warning("OTP provider failed: %r", error)
        raise OtpUnavailable from error
