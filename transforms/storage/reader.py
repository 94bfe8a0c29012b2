"""Reading a store page by page, and nothing else: for people who look at a store while a job writes to it."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from transforms.storage.ledger import newest_decisions
from transforms.storage.pages import MOST, Page, check_limit, every, page_of, read_cursor
from transforms.storage.rows import (
    DeadLetterRow,
    EventRow,
    IdentityRow,
    InboxRow,
    LeaseRow,
    LedgerRow,
    MemberRow,
    MetricRow,
    RunRow,
    UserRow,
)
from transforms.storage.sends import SendLists, SendsAsked, campaigns_of, page_sends

__all__ = ["EARLIEST", "After", "Lists", "Reader", "TimeKey"]

#: The earliest time, in microseconds UTC.
EARLIEST = -(2**63)

#: Letters that are read at a time: each may have a megabyte.
_LETTERS_AT_ONCE = 20

#: What identifies a row in a list by time: its time and its id.
TimeKey = tuple[int, str]
#: Where such a list goes on: after a row, or with what is of a time or older.
After = TimeKey | tuple[int] | None


class Lists(SendLists, Protocol):
    """What a store gives that is open for reading alone; `Reader` makes pages of it.

    Iterators are lazy, in the order that `Reader` states, and go on after `after`. They fetch some `at_once` rows.
    """

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """See `Users.read_users`."""

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """See `Identities.read_identities`."""

    def read_run(self) -> RunRow | None:
        """See `Runs.read_run`."""

    def read_lease(self) -> LeaseRow | None:
        """See `Lease.read_lease`."""

    def events_after(self, user: str, after: After, at_once: int) -> Iterator[EventRow]:
        """A user's events after (time, id)."""

    def decisions_of(self, user: str) -> Iterable[LedgerRow]:
        """A user's sends and refusals, in any order."""

    def inbox_after(self, user: str, after: After, at_once: int) -> Iterator[InboxRow]:
        """A user's inbox after (at, send)."""

    def members_after(self, segment: str, after: str | None, at_once: int) -> Iterator[MemberRow]:
        """Members of a segment after a user, and the tombstones of those who left."""

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """See `Metrics.scan_metrics`."""

    def count_members(self, segment: str) -> int:
        """How many users with a user id are members, by the index."""

    def letters_after(self, after: After, since: int, at_once: int) -> Iterator[DeadLetterRow]:
        """Dead letters since a time after (time, id)."""

    def close(self) -> None:
        """Release connections and files."""


class Reader:
    """A store that is open for reading alone: nothing is created or changed, not even by opening it.

    A page has at most `limit` rows, 1 to `MOST`; `cursor` is the `next` of the page before, None for the first. Each
    page is read by itself: a row that is written between two pages is in the second if its place is after the first.

    Every method raises `StoreError` when the store goes on refusing; those with pages raise `ValueError` for a limit
    and `BadCursor` for a cursor that cannot be.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those of `users` that have one."""
        return self._lists.read_users(users)

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one, by value."""
        return self._lists.read_identities(kind, values)

    def read_run(self) -> RunRow | None:
        """What the last bounded run left, or None."""
        return self._lists.read_run()

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store, or did; None where nobody has yet."""
        return self._lists.read_lease()

    def page_events(
        self, user: str, limit: int, cursor: str | None = None, *, until: int | None = None
    ) -> Page[EventRow]:
        """A user's events, newest first; without a cursor those that are not after `until`."""
        after = _after("events", cursor, until)
        rows = self._lists.events_after(user, after, check_limit(limit) + 1)
        return page_of("events", (((row.time, row.id), row) for row in rows), limit)

    def page_decisions(
        self, user: str, limit: int, cursor: str | None = None, *, until: int | None = None
    ) -> Page[LedgerRow]:
        """A user's sends and refusals, newest decision first; without a cursor those that are not after `until`.

        Each page reads all of them.
        """
        after = _after("decisions", cursor, until) or (2**63 - 1,)
        time, *send = after
        rest = (row for row in self._lists.decisions_of(user) if [-row.decided_at, row.send] > [-time, *send])
        rows = newest_decisions(rest, check_limit(limit) + 1)
        return page_of("decisions", (((row.decided_at, row.send), row) for row in rows), limit)

    def page_inbox(
        self, user: str, limit: int, cursor: str | None = None, *, until: int | None = None
    ) -> Page[InboxRow]:
        """A user's inbox, newest first, expired messages too; without a cursor those that are not after `until`."""
        after = _after("inbox", cursor, until)
        rows = self._lists.inbox_after(user, after, check_limit(limit) + 1)
        return page_of("inbox", (((row.at, row.send), row) for row in rows), limit)

    def page_members(self, segment: str, limit: int, cursor: str | None = None) -> Page[MemberRow]:
        """The members of a segment as the index has them: by user in SQLite, in no stated order in Bigtable."""
        after = None if cursor is None else read_cursor("members", cursor, str)[0]
        rows = self._lists.members_after(segment, after, check_limit(limit) + 1)
        return page_of("members", (((row.user,), row if row.active else None) for row in rows), limit)

    def page_sends(self, asked: SendsAsked, limit: int, cursor: str | None = None) -> Page[LedgerRow]:
        """The sends and refusals that are asked for: by state, in the order in which states are asked for, then by
        campaign, newest decision first.

        Both stores have an index for it. Bigtable's has no claims: they are found by reading the ledger through, and
        come in the order of its keys.
        """
        return page_sends(self._lists, asked, limit, cursor)

    def campaigns_of_sends(self) -> list[str]:
        """The campaigns that have a send or a refusal, sorted; in Bigtable without those that have claims alone."""
        return campaigns_of(self._lists)

    def page_dead_letters(
        self, limit: int, cursor: str | None = None, *, cause: str | None = None, since: int = EARLIEST
    ) -> Page[DeadLetterRow]:
        """Dead letters, newest first: for one cause, at or after `since` (microseconds UTC). A page has 8 MB or so."""
        after = _after("dead_letters", cursor)
        rows = self._lists.letters_after(after, since, min(check_limit(limit) + 1, _LETTERS_AT_ONCE))
        found = (((row.time, row.id), row if cause in (None, row.cause) else None) for row in rows)
        return page_of("dead_letters", found, limit, lambda row: row.weight)

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """All members of a segment, in the order of `page_members`; read as they are taken."""
        return every(partial(self.page_members, segment, MOST))

    def count_members(self, segment: str) -> int:
        """How many users with a user id are members of a segment as the index has them. Bigtable reads all of them."""
        return self._lists.count_members(segment)

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """The counts of every series that starts with `prefix`, by series and window, of windows from `since` on; read
        as they are taken."""
        return self._lists.scan_metrics(prefix, since)

    def close(self) -> None:
        """Release connections and files."""
        self._lists.close()


def _after(name: str, cursor: str | None, until: int | None = None) -> After:
    """Where a list by time goes on."""
    if cursor is None:
        return None if until is None else (until,)
    time, id_ = read_cursor(name, cursor, int, str)
    return time, id_
