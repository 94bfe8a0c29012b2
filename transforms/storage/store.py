"""The one interface of storage. Two implementations pass the same tests: `sqlite.py` and `bigtable.py`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Protocol

from transforms.storage.rows import (
    ControlRow,
    EventKey,
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

__all__ = ["NoStore", "Store", "StoreError", "newest_decisions"]


class StoreError(Exception):
    """A read or write that failed after its bounded retries. Never swallowed: the bundle or the command fails."""


class NoStore(StoreError):
    """A store that cannot be opened: it is not there, or is something else, or may not be used. Nothing was done."""


class Store(Protocol):
    """Tables of users, events, identities, members, the ledger, the inbox and, for live runs on one machine, control.

    Every write takes a batch, and all but `publish_control` are safe to repeat; every method raises `StoreError` when
    the backend goes on refusing after bounded retries. Of two writes to one users, identities or members row, the one
    with the greater revision wins, whichever comes last.
    """

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive; the same (user, time, id) is one row."""

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Say whose an anonymous id, token or address is."""

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those of `users` that have one."""

    def scan_users(self) -> Iterator[UserRow]:
        """Every user row, anonymous ones too, in key order."""

    def has_users(self) -> bool:
        """Whether there is any user row."""

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from `start` on (time, user), in their order, at most `limit`, of users that `of` takes.

        SQLite has an index for it. Bigtable reads all rows of users for each call.
        """

    def existing_events(self, keys: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those of `keys` that the archive holds, with the revision of each row."""

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, however many there are."""

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of: who wrote them died before it wrote the user.

        They come again, and until then nobody may take them for applied. Nobody else may be at work on the store.
        """

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those of `values` that have one, by value."""

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment: in the order of users in SQLite, in no stated one in Bigtable."""

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Try to claim each send; by send id: None where this call made the claim, else the row that stood there.

        Atomic for each row: of two claims of one send, one gets None.
        """

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows, each as it was read, by others of the same sends; the new rows that this call wrote.

        Atomic for each row: one that has changed since it was read, or is gone, is left alone.
        """

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest `decided_at` first, at most `limit`."""

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole; the same (user, at, send) is one row."""

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first, expired messages too."""

    def delete_user(
        self, user: str, segments: Iterable[str], identities: Iterable[tuple[str, str]], *, row: bool = False
    ) -> None:
        """Delete the user's events, ledger and inbox, the named members rows, and identities (kind, value) of theirs.

        The users row goes only with `row`: the state machine overwrites a user's own with a tombstone.
        """

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series that starts with `prefix`, by series and window."""

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages, published at `at`, in their order. They are durable when this returns.

        Durable means that the death of this process, by SIGKILL too, loses none. SQLite's file may lose the last ones
        when the whole machine loses power. A call that raised may have added them nevertheless.
        """

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, at most `limit`, without those whose ids are in `skip`.

        Those published before `since` (microseconds UTC) are not looked at; those to skip are, and cost as much.
        """

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages; those that are gone already are passed over."""

    def read_run(self) -> RunRow | None:
        """What the last bounded run left, or None."""

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store, or did; None where nobody has yet."""

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write `after` where `before` stands (None: nothing), atomically; whether `after` stands now."""

    def close(self) -> None:
        """Release connections and files."""


def newest_decisions(rows: Iterable[LedgerRow], limit: int | None) -> list[LedgerRow]:
    """A user's sends, newest decision first, at most `limit`: no more of them are kept on the way."""

    def order(row: LedgerRow) -> tuple[int, str]:
        return -row.decided_at, row.send

    return sorted(rows, key=order) if limit is None else nsmallest(limit, rows, key=order)
