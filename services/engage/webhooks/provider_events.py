"""What a provider told, in one form for all of them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

__all__ = ["BadSignature", "ProviderEvent", "UnreadEvent", "each_told", "microseconds", "seconds"]


class BadSignature(ValueError):
    """A request that nobody who has the secret made, or that was changed, or is too old."""


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one message, or of one address.

    `id` is the provider's own for what happened, the same however often it is told. `time` is in microseconds, UTC.
    `reference` is what the message carried (`transforms.channels.references`), `address` whom it went to; `user` and
    `send` are named where the sender of the webhook is the customer's own system. `topic` is of kinds that concern
    consent: empty for the message's own. `reason` is the provider's word, of no person.
    """

    id: str
    kind: str
    channel: str
    time: int
    reference: str = ""
    address: str = ""
    user: str = ""
    send: str = ""
    topic: str = ""
    reason: str = ""


class UnreadEvent(msgspec.Struct, frozen=True):
    """An event that cannot be read: its place in the request, what is wrong with it, and the event as it came."""

    index: int
    detail: str
    event: bytes


def each_told(
    events: Iterable[msgspec.Raw], read: Callable[[Any], Iterable[ProviderEvent]], kind: Any
) -> Iterator[ProviderEvent | UnreadEvent]:
    """What each of several events tells, so that a bad one spoils none of the others.

    Args:
      events: as JSON.
      read: what an event tells; nothing for one that concerns nobody here. It may raise ValueError.
      kind: what an event is read as.
    """
    for index, raw in enumerate(events):
        try:
            yield from read(msgspec.json.decode(raw, type=kind))
        except (ValueError, RecursionError, OverflowError) as error:
            detail = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
            yield UnreadEvent(index, detail, bytes(raw))


def microseconds(text: str) -> int:
    """A time of ISO 8601 with a zone, in microseconds since the epoch.

    Raises:
      ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return round(found.timestamp() * 1_000_000)


def seconds(value: float) -> int:
    """Seconds since the epoch, in microseconds.

    Raises:
      ValueError: it is no time.
    """
    if not 0 <= value < 1e11:
        raise ValueError("no time")
    return round(value * 1_000_000)
