"""LINE messages by its Messaging API."""
