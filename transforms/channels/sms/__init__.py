"""Text messages to phones, by Twilio's Messages API or any provider that takes JSON over HTTP."""

from transforms.identity.channels import REGION, Channel, Facts

__all__ = ["CHANNEL"]


def _addresses(facts: Facts) -> list[str]:
    if not facts["phone"]:
        return []
    from transforms.channels.sms.numbers import e164  # noqa: PLC0415 - its tables are for those who have a phone

    number = e164(facts["phone"], facts[REGION])
    return [number] if number else []


CHANNEL = Channel(
    name="sms",
    reads=("phone", REGION),
    addresses=_addresses,
    granted=False,
    message="transforms.channels.sms.message:FORM",
    settings="transforms.channels.sms.settings:SETTINGS",
    transport="transforms.channels.sms.transport:TRANSPORT",
    key=str,  # one number is written in one way
    shared=True,
    linked=True,
)
