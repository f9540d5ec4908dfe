import os

import requests


class SmsClient:
    def __init__(self, sid, token):
        self.session = requests.Session()
        self.session.auth = (sid, token)
        self.base = "https://verify.twilio.com/v2"
        # Fails early when the account is wrong.
        self.session.get(f"{self.base}/Services/{sid}", timeout=10)


client = SmsClient(os.environ["TWILIO_SERVICE_SID"], os.environ["TWILIO_AUTH_TOKEN"])
