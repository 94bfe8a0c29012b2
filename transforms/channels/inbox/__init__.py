"""The in-app inbox: rows of the store, which an app's server reads and shows."""

from transforms.identity.channels import USER, Channel

__all__ = ["CHANNEL"]

CHANNEL = Channel(
    name="inbox",
    reads=(USER,),
    addresses=lambda facts: [facts[USER]] if facts[USER] else [],
    granted=True,
    message="transforms.channels.inbox.message:FORM",
    settings="transforms.channels.inbox.settings:SETTINGS",
    transport="transforms.channels.inbox.transport:TRANSPORT",
)
