"""What an export of the archive has besides calls: receipts, attributes that steps set, tokens that others registered.

They are read from files only: a live message of such a type is unknown. Times are microseconds UTC.
"""

from typing import Any

import msgspec

from transforms.events.event import RECEIPT, SET, TOKEN_LOST, Event
from transforms.events.times import read_time

__all__ = ["RECORDS", "read_record"]

#: The types of such lines.
RECORDS = (RECEIPT, SET, TOKEN_LOST)


class _Record(msgspec.Struct, rename="camel", frozen=True):
    type: str
    message_id: str
    timestamp: str
    arrival: str
    user_id: str | None = None
    anonymous_id: str | None = None
    event: str = ""
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    historical: bool = False


_decoder = msgspec.json.Decoder(_Record)


def read_record(payload: bytes) -> Event | None:
    """The event of such a line; None for any other line, or one that no export could have."""
    try:
        said = _decoder.decode(payload)
        time, arrival = read_time(said.timestamp), read_time(said.arrival)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if said.type not in RECORDS or time > arrival or (said.user_id is None) == (said.anonymous_id is None):
        return None
    return Event(
        said.message_id,
        said.type,
        said.event,
        time,
        arrival,
        said.user_id,
        said.anonymous_id,
        properties=said.properties,
        traits=said.traits,
        historical=said.historical,
    )
