"""One user: the profile as the row has it, and a timeline of what happened to all ids that the user had."""

from functools import partial
from typing import Any

import msgspec

from transforms.events.event import GROUP, SET
from transforms.events.plain import quoted
from transforms.events.times import write_time
from transforms.storage.pages import Page
from transforms.storage.reader import Reader
from transforms.storage.rows import EventRow, LedgerRow, LedgerState, UserRow
from transforms.users.user import ANONYMOUS
from transforms.views.merged import merged

__all__ = ["TimelineEntry", "UnknownUser", "decision", "ids_of", "known_user", "past", "profile", "timeline"]

#: One line of a timeline: `time`, `kind` (`event`, `send` or `refusal`), `id`, and what the kind has.
TimelineEntry = dict[str, Any]


class UnknownUser(LookupError):
    """A user of whom the store knows nothing."""


def known_user(reader: Reader, user: str) -> UserRow:
    """The row of a user.

    Raises:
      UnknownUser: there is none.
      StoreError: the store cannot be read.
    """
    other = user[len(ANONYMOUS) :] if user.startswith(ANONYMOUS) else ANONYMOUS + user
    found = reader.read_users([user, other] if other else [user])
    if user in found:
        return found[user]
    whose = "a user" if user.startswith(ANONYMOUS) else "an anonymous"
    hint = f", but {whose} id of that name: ask for {quoted(other)}" if other in found else ""
    raise UnknownUser(f"the store knows no user {quoted(user)}{hint}")


def profile(row: UserRow) -> dict[str, Any]:
    """The user's profile as the row shows it: attributes, consent, memberships, journeys."""
    shown: dict[str, Any] = msgspec.json.decode(row.profile)
    return shown


def ids_of(user: str, shown: dict[str, Any]) -> list[str]:
    """The ids under which a user's past stands: its own, those that were merged into it, its anonymous ones."""
    return [user, *shown.get("merged", []), *(ANONYMOUS + source for source in shown.get("anonymous", []))]


def timeline(reader: Reader, user: str, limit: int, cursor: str | None = None) -> Page[TimelineEntry]:
    """What happened to a user and what was decided, newest first; anonymous pasts are part of it.

    Raises:
      UnknownUser: the store knows no such user.
      ValueError: the limit or the cursor cannot be.
      StoreError: the store cannot be read.
    """
    ids = ids_of(user, profile(known_user(reader, user)))
    sources: dict[str, Any] = {}
    for name in ids:
        sources[f"decisions {name}"] = "decisions", partial(reader.page_decisions, name), _decided
        sources[f"events {name}"] = "events", partial(reader.page_events, name), _happened
    page: Page[EventRow | LedgerRow] = merged("timeline", sources, limit, cursor)
    return Page([event(row) if isinstance(row, EventRow) else decision(row) for row in page.rows], page.next)


def past(reader: Reader, user: str, shown: dict[str, Any], most: int) -> list[TimelineEntry]:
    """The newest events and decisions of each of a user's ids, at most so many of each, oldest first.

    An event stands there once: what a process was writing for a visitor when it died may have come again for the user.

    Raises:
      ValueError: `most` is not the limit of a page.
      StoreError: the store cannot be read.
    """
    decided: list[LedgerRow] = []
    happened: dict[str, EventRow] = {}
    for name in ids_of(user, shown):
        happened |= {row.id: row for row in reader.page_events(name, most).rows}
        decided += reader.page_decisions(name, most).rows
    entries = [
        *((row.time, event(row)) for row in happened.values()),
        *((row.decided_at, decision(row)) for row in decided),
    ]
    return [entry for _, entry in sorted(entries, key=lambda each: (each[0], each[1]["kind"]))]


def event(row: EventRow) -> TimelineEntry:
    """An event of the archive."""
    payload = msgspec.json.decode(row.payload)
    said = payload["traits"] if row.type in ("identify", GROUP, SET) else payload["properties"]
    if group := payload.get("group"):
        said = {"group": group} | said
    shown = {"time": write_time(row.time), "kind": "event", "type": row.type, "name": row.name, "said": said}
    shown |= {"id": row.id}
    return shown if row.arrival == row.time else shown | {"arrival": write_time(row.arrival)}


def decision(row: LedgerRow) -> TimelineEntry:
    """A send or a refusal of the ledger."""
    return {
        "time": write_time(row.decided_at),
        "kind": "refusal" if row.state == LedgerState.SUPPRESSED else "send",
        "campaign": row.campaign,
        "step": row.step,
        "channel": row.channel,
        "state": row.state,
        "detail": row.detail,
        "id": row.send,
    }


def _happened(row: EventRow) -> tuple[int, str]:
    return row.time, row.id


def _decided(row: LedgerRow) -> tuple[int, str]:
    return row.decided_at, row.send
