"""Push notifications by Firebase Cloud Messaging."""

from transforms.identity.channels import TOKENS, Channel

__all__ = ["CHANNEL"]

CHANNEL = Channel(
    name="push",
    reads=(TOKENS,),
    addresses=lambda facts: facts[TOKENS],
    granted=True,
    message="transforms.channels.push.message:FORM",
    settings="transforms.channels.push.settings:SETTINGS",
    transport="transforms.channels.push.transport:TRANSPORT",
    several=True,
)
