"""LINE messages by its Messaging API."""

from transforms.identity.channels import Channel, Facts, Follows

__all__ = ["CHANNEL"]


def _addresses(facts: Facts) -> list[str]:
    line_id = (facts["line_id"] or "").strip()
    return [line_id] if line_id and line_id != facts["line_left"] else []


CHANNEL = Channel(
    name="line",
    reads=("line_id", "line_left"),
    addresses=_addresses,
    granted=False,
    message="transforms.channels.line.message:FORM",
    settings="transforms.channels.line.settings:SETTINGS",
    transport="transforms.channels.line.transport:TRANSPORT",
    linked=True,
    follows=Follows("line_id", "line_left"),
)
