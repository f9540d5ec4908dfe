"""One-time passwords by text message, through Twilio Verify."""

from twilio.rest import Client

from app.config import settings


def start(phone: str) -> None:
    client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)
    service = client.verify.v2.services(settings.TWILIO_VERIFY_SERVICE_SID)
    service.verifications.create(to=phone, channel="sms")
