"""Reading live on any engine: a subscription whose messages are acknowledged when a checkpoint covers their account."""
