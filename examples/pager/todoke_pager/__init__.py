"""Pagers: short texts, posted to a gateway. The record says all of the channel, and names where the rest stands."""

from transforms.identity.channels import Channel, Facts

__all__ = ["CHANNEL"]


def _addresses(facts: Facts) -> list[str]:
    """Pagers have numbers of four to eight digits; anything else is no address."""
    number = (facts["pager"] or "").strip()
    return [number] if number.isdecimal() and 4 <= len(number) <= 8 else []


CHANNEL = Channel(
    name="pager",
    reads=("pager",),
    addresses=_addresses,
    granted=False,
    message="todoke_pager.message:FORM",
    settings="todoke_pager.settings:SETTINGS",
    transport="todoke_pager.transport:TRANSPORT",
)
