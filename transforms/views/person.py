"""All that a store holds of one person: what they may ask for, and what goes when they are deleted."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from transforms.events.dead_letter import payload_json
from transforms.events.times import write_time
from transforms.storage.rows import DeadLetterRow, EventRow, InboxMarks, InboxRow, LedgerRow, UserRow
from transforms.storage.store import Store
from transforms.views.users import decision, profile

__all__ = ["PARTS", "Person", "is_tombstone", "person", "rows_of"]


#: The times of an inbox message that may not be.
_MESSAGE_TIMES = ("expires", *InboxMarks.__struct_fields__)


class Person(msgspec.Struct, frozen=True):
    """Whose an id is: `user` is who has the past, `ids` all ids under which something stands, that which was asked
    for among them. `row` is None where the store knows nobody of that id."""

    asked: str
    user: str
    ids: tuple[str, ...]
    row: UserRow | None

    @property
    def is_deleted(self) -> bool:
        """Whether a tombstone is all there is."""
        return self.row is not None and is_tombstone(profile(self.row))


def is_tombstone(shown: dict[str, Any]) -> bool:
    """Whether a profile says no more than that there was somebody."""
    return {"user", "deleted"} == set(shown) - {"owner"}


def person(store: Store, asked: str) -> Person:
    """The person whose an id is: a user id, `~` and an anonymous id, or an id that was merged.

    Raises:
      StoreError: the store cannot be read.
    """
    name, seen = asked, dict.fromkeys([asked])
    row = first = store.read_users([asked]).get(asked)
    while row is not None and (owner := profile(row).get("owner", name)) not in seen:
        name = owner
        seen[name] = None
        row = store.read_users([name]).get(name)
    if row is None:  # of whoever it is said to be, nobody knows anything yet
        row = first
    shown = {} if row is None else profile(row)
    merged = [*shown.get("merged", ()), *(f"~{each}" for each in shown.get("anonymous", ()))]
    return Person(asked, name, tuple(dict.fromkeys([name, *merged, *seen])), row)


def rows_of(store: Store, found: Person, part: str) -> Iterator[dict[str, Any]]:
    """What the store holds of a person in one of `PARTS`, as values of JSON; events one after another.

    Raises:
      StoreError: the store cannot be read.
    """
    for id_ in found.ids:
        yield from PARTS[part](store, id_)


def _memberships(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    row = store.read_users([id_]).get(id_)
    for segment, since in ({} if row is None else profile(row).get("segments", {})).items():
        yield {"segment": segment, "user": id_, "since": since}


def _events(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    return map(_event, store.scan_events(id_))


def _event(row: EventRow) -> dict[str, Any]:
    said = {"id": row.id, "kept_under": row.user, "time": write_time(row.time), "arrival": write_time(row.arrival)}
    said |= {"type": row.type, "name": row.name, "source": row.source}
    said |= msgspec.json.decode(row.payload, type=dict[str, Any])
    return said


def _sends(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    return map(_send, store.read_ledger(id_))


def _send(row: LedgerRow) -> dict[str, Any]:
    return {"user": row.user, **decision(row), "at": write_time(row.at), "attempts": row.attempts}


def _claims(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    sends = [row.send for row in store.read_ledger(id_)]
    return ({"claim": row.send, "send": row.detail} for row in store.mailbox_claims_of(sends))


def _inbox(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    return map(_message, store.read_inbox(id_))


def _message(row: InboxRow) -> dict[str, Any]:
    said = msgspec.structs.asdict(row) | {"at": write_time(row.at), "data": msgspec.json.decode(row.data)}
    said |= {name: write_time(time) if (time := said[name]) else None for name in _MESSAGE_TIMES}
    return said | {"trigger": msgspec.json.decode(row.trigger) if row.trigger else None}


def _identities(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    for row in store.identities_of(id_):
        yield {"kind": row.kind, "value": row.value, "user": row.user}


def _letters(store: Store, id_: str) -> Iterator[dict[str, Any]]:
    # Letters of visitors name the key, too.
    return map(_letter, store.dead_letters_of(id_))


def _letter(row: DeadLetterRow) -> dict[str, Any]:
    said = {"time": write_time(row.time), "user": row.user, "cause": row.cause, "detail": row.detail}
    return said | {"source": row.source, **payload_json(row.payload)}


#: The parts of what is held of somebody: each reads what stands under one id.
PARTS: dict[str, Callable[[Store, str], Iterator[dict[str, Any]]]] = {
    "memberships": _memberships,
    "events": _events,
    "sends": _sends,
    "mailbox_claims": _claims,
    "inbox": _inbox,
    "identities": _identities,
    "dead_letters": _letters,
}
