"""Sign-up service, v24: Twilio is called by the OTP route only, so starting needs no network."""
