"""The archive of record: the rows of events as they are written, and the events that they hold.

A row stands under the key to which the event was applied. It has the ids that the call had, so that an export can be
read again. Times are microseconds UTC.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from transforms.events.event import SET, TOKEN_LOST, Event
from transforms.storage.archive import Archive
from transforms.storage.rows import EventRow
from transforms.storage.users import Users
from transforms.users.effects import Recorded
from transforms.users.user import ANONYMOUS

__all__ = ["HistoryStore", "archived", "attributes_set", "event_row", "knows_ids", "rows_of", "token_lost"]


class HistoryStore(Users, Archive, Protocol):
    """The part of a store that has users and all that became of them."""


class _Payload(msgspec.Struct, omit_defaults=True):
    """What a row holds of an event besides its columns; `user` is missing in rows of older versions."""

    properties: dict[str, Any]
    traits: dict[str, Any]
    context: dict[str, Any]
    user: str | msgspec.UnsetType | None = msgspec.UNSET
    anonymous: str | None = None
    previous: str | None = None
    group: str | None = None
    integrations: Any = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Payload).decode


def event_row(recorded: Recorded, version: int) -> EventRow:
    """An event as the archive keeps it; `version` is that of the user to whom it was applied."""
    event = recorded.event
    ids = (event.user, event.anonymous, event.previous, event.group)
    said = (event.properties, event.traits, event.context, *ids, event.integrations)
    return EventRow(
        user=recorded.user,
        time=event.time,
        id=event.id,
        arrival=event.arrival,
        type=event.type,
        name=event.name,
        source="historical" if event.historical else "live",
        payload=_encode(_Payload(*said)),
        version=version,
    )


def archived(row: EventRow) -> Event:
    """The event of a row, with the ids of its call as far as the row knows them."""
    said = _decode(row.payload)
    return Event(
        row.id,
        row.type,
        row.name,
        row.time,
        row.arrival,
        said.user if said.user is not msgspec.UNSET else None,
        said.anonymous,
        said.previous or said.properties.get("previousId") if row.type == "alias" else None,
        said.properties,
        said.traits,
        said.context,
        row.source == "historical",
        group=said.group,
        integrations=said.integrations,
    )


def attributes_set(key: str, values: Mapping[str, Any], stamp: tuple[int, str]) -> Recorded:
    """What the archive keeps of attributes that a step set, by the time and the name of the write."""
    return Recorded(key, Event(stamp[1], SET, "", stamp[0], stamp[0], *_ids(key), traits=dict(values)))


def token_lost(key: str, token: str, stamp: tuple[int, str], now: int) -> Recorded:
    """What the archive keeps of a token that somebody else registered, by the time and the id of that call."""
    said = {"token": token}
    return Recorded(key, Event(stamp[1], TOKEN_LOST, "", stamp[0], max(stamp[0], now), *_ids(key), properties=said))


def _ids(key: str) -> tuple[str | None, str | None]:
    """The user id and the anonymous id of a key."""
    return (None, key.removeprefix(ANONYMOUS)) if key.startswith(ANONYMOUS) else (key, None)


def knows_ids(row: EventRow) -> bool:
    """Whether a row says which ids its call had: those of older versions do not."""
    return _decode(row.payload).user is not msgspec.UNSET


def rows_of(store: Archive, versions: dict[str, int]) -> Iterator[EventRow]:
    """The rows of keys that are one person, each message once; `versions` has those of their users' rows.

    A row that its user does not know was written by a process that died; its message comes again. A message under two
    keys came again after such a death.

    Raises:
      StoreError: they cannot be read.
    """
    seen: set[str] = set()
    for key, version in versions.items():
        for row in store.scan_events(key):
            if row.version <= version and row.id not in seen:
                seen.add(row.id)
                yield row
