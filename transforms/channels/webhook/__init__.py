"""Calls of servers that messages name."""

from transforms.identity.channels import Channel

__all__ = ["CHANNEL"]

CHANNEL = Channel(
    name="webhook",
    reads=(),
    addresses=lambda _facts: ("",),  # the message says where it goes
    granted=True,
    message="transforms.channels.webhook.message:FORM",
    settings="transforms.channels.webhook.settings:SETTINGS",
    transport="transforms.channels.webhook.transport:TRANSPORT",
)
