"""LINE messages by its Messaging API."""

from transforms.identity.channels import Channel, Facts

__all__ = ["CHANNEL"]


def _addresses(facts: Facts) -> list[str]:
    line_id = (facts["line_id"] or "").strip()
    return [line_id] if line_id else []


CHANNEL = Channel(
    name="line",
    reads=("line_id",),
    addresses=_addresses,
    granted=False,
    message="transforms.channels.line.message:FORM",
    settings="transforms.channels.line.settings:SETTINGS",
    transport="transforms.channels.line.transport:TRANSPORT",
)
