"""The state machine of a live job whose messages are acknowledged on account, on any engine."""
