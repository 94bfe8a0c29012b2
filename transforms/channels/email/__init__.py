"""Mail by SMTP."""

from transforms.identity.channels import Channel, Facts
from transforms.identity.mailbox import mailbox_key

__all__ = ["CHANNEL"]


def _addresses(facts: Facts) -> list[str]:
    mailbox = (facts["email"] or "").strip()
    return [mailbox] if mailbox else []


CHANNEL = Channel(
    name="email",
    reads=("email",),
    addresses=_addresses,
    granted=False,
    message="transforms.channels.email.message:FORM",
    settings="transforms.channels.email.settings:SETTINGS",
    transport="transforms.channels.email.transport:TRANSPORT",
    key=mailbox_key,
    shared=True,
    linked=True,
)
