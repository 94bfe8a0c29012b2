"""Push notifications by Firebase Cloud Messaging."""
