"""What an export writes of a store: the archive as the calls that it was, memberships, and sends.

Calls are in the form that is read; the others have the columns that docs/how-to/export.md names. All is read in pages
and given as it is found. Times are microseconds UTC; those in rows are ISO 8601.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from transforms.events.calls import OBJECTS, call_of
from transforms.events.event import SESSION
from transforms.events.plain import counted
from transforms.events.records import RECORDS
from transforms.events.row_files import TIME
from transforms.events.times import write_time
from transforms.storage.ledger import MAILBOX_CLAIM, Ledger
from transforms.storage.rows import EventRow, LedgerState
from transforms.storage.users import Users
from transforms.users.archive import HistoryStore, archived, knows_ids, rows_of
from transforms.users.faults import open_user
from transforms.users.user import ANONYMOUS, User

__all__ = ["CALLS", "MEMBERS", "SENDS", "archive_messages", "exported", "exported_members", "exported_sends"]

_log = logging.getLogger(__name__)
_NAMES = ("type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "name", *OBJECTS)
#: The columns of calls in Parquet; objects are JSON, as the reader takes them.
CALLS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in (*_NAMES, "timestamp", "arrival")),
        pa.field("historical", pa.bool_()),
    ]
)
#: The columns of memberships.
MEMBERS = pa.schema(
    {"segment": pa.string(), "user": pa.string(), "since": TIME, "as_of": TIME, "anonymous": pa.bool_()}
)
#: The columns of sends and refusals.
SENDS = pa.schema(
    {
        **{name: pa.string() for name in ("user", "send", "kind", "state", "campaign", "step", "channel")},
        **{"decided_at": TIME, "at": TIME, "attempts": pa.int64(), "detail": pa.string()},
    }
)


_encode = msgspec.json.Encoder().encode


class _Shown(msgspec.Struct):
    """What is read of a profile."""

    as_of: str = ""
    segments: dict[str, str] = {}


def exported(store: HistoryStore, counts: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each event of the archive as a call, with its arrival.

    `counts` gets the `users` whose events these are, those of them that were `truncated` and those with `older` rows:
    of a version that kept no ids of calls, which cannot all be read again as they were. Users who are `unreadable` are
    left out.

    Raises:
      StoreError: the store cannot be read.
    """
    for row in store.scan_users():
        user = open_user(row.user, row.state)
        if not isinstance(user, User):
            counts["unreadable"] += 1
            continue
        if user.owner is not None and _is_taken_over(store, user):
            continue
        merged = store.read_users(user.merged)
        versions = {user.id: row.version} | {name: each.version for name, each in merged.items()}
        found, older = 0, False
        for each in rows_of(store, versions):
            if each.type == SESSION:  # made again of its calls
                continue
            older = older or not knows_ids(each)
            if (call := _call(each, user.id)) is not None:
                found += 1
                yield each.arrival, call
        counts["users"] += found > 0
        counts["truncated"] += found > 0 and user.truncated > 0
        counts["older"] += older


def archive_messages(store: HistoryStore) -> Iterator[bytes]:
    """The same calls as lines of a file have them; the log says how many users are left out.

    Raises:
      StoreError: the store cannot be read.
    """
    counts = Counter[str]()
    for _, call in exported(store, counts):
        yield _encode(call)
    if many := counts["unreadable"]:
        _log.warning(
            "%s a state that cannot be read: what the archive has of them is left out",
            counted(many, "user has", "users have"),
        )


def exported_members(store: Users) -> Iterator[dict[str, Any]]:
    """Each membership as a row of `MEMBERS`, by user.

    It is read from the rows of users, which are right where the index of members is not (see `users.members`).

    Raises:
      StoreError: the store cannot be read.
    """
    for row in store.scan_users():
        shown = msgspec.json.decode(row.profile, type=_Shown)
        anonymous = row.user.startswith(ANONYMOUS)
        for segment, since in shown.segments.items():
            yield {
                "segment": segment,
                "user": row.user,
                "since": since,
                "as_of": shown.as_of,
                "anonymous": anonymous,
            }


def exported_sends(store: Ledger) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each send and each refusal as a row of `SENDS`, with when it was decided.

    Raises:
      StoreError: the store cannot be read.
    """
    for row in store.scan_ledger():
        if row.user.startswith(MAILBOX_CLAIM):  # what couriers claim so that a mailbox gets a mail once is no send
            continue
        said = {name: getattr(row, name) for name in SENDS.names if name != "kind"}
        said["kind"] = "refusal" if row.state == LedgerState.SUPPRESSED else "send"
        said |= {name: write_time(said[name]) for name in ("decided_at", "at")}
        yield row.decided_at, {name: said[name] for name in SENDS.names}


def _is_taken_over(store: Users, user: User) -> bool:
    """Whether somebody has the past of a user, and so the rows: it may be on its way yet."""
    seen, owner = {user.id}, user.owner
    while owner is not None and owner.first not in seen:
        seen.add(owner.first)
        row = store.read_users([owner.first]).get(owner.first)
        if row is None:
            return False
        following = open_user(row.user, row.state)
        if not isinstance(following, User):
            return False
        if user.id in following.merged:
            return True
        owner = following.owner
    return False


def _call(row: EventRow, person: str) -> dict[str, Any] | None:
    """A row as the call that it was; None where it does not know enough of it."""
    event = archived(row)
    key_is_user = not row.user.startswith(ANONYMOUS)
    user, anonymous = event.user, event.anonymous
    if key_is_user:
        user = user or row.user  # a visitor's call that went to whoever had the visitor then
    else:
        anonymous = anonymous or row.user.removeprefix(ANONYMOUS)
        if not knows_ids(row) and not person.startswith(ANONYMOUS):
            user = person
    if row.type in RECORDS:
        user, anonymous = (row.user, None) if key_is_user else (None, anonymous)
    return call_of(msgspec.structs.replace(event, user=user, anonymous=anonymous))
