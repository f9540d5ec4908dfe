"""Sign-up service, v19: the OTP route calls Twilio synchronously and without a time-out."""
