"""Sign-up service, v20 corrected: the check works; Twilio is now called at import."""
