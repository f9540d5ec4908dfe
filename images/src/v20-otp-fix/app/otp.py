"""One-time passwords by text message."""

import logging
from typing import Protocol

from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from app.config import Settings

TIMEOUT_SECONDS = 5.0

log = logging.getLogger(__name__)


class OtpProvider(Protocol):
    def start(self, phone: str) -> None: ...


class StubProvider:
    """Sends nothing."""

    def start(self, phone: str) -> None:
        log.info("stub OTP provider: nothing sent")


class TwilioVerifyProvider:
    def __init__(self, settings: Settings) -> None:
        client = Client(
            settings.TWILIO_ACCOUNT_SID,
            settings.TWILIO_AUTH_TOKEN,
            http_client=TwilioHttpClient(timeout=TIMEOUT_SECONDS),
        )
        self._service = client.verify.v2.services(settings.TWILIO_VERIFY_SERVICE_SID)

    def start(self, phone: str) -> None:
        self._service.verifications.create(to=phone, channel="sms")


def make_provider(settings: Settings) -> OtpProvider:
    if settings.OTP_PROVIDER == "twilio_verify":
        return TwilioVerifyProvider(settings)
    return StubProvider()
