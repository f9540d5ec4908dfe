"""Sign-up service, v20: Twilio off the event loop; the production check reads a missing setting."""
