"""Sign-up service, v22: TWILIO_ACCOUNT_SID is required; Twilio is still called at import."""
