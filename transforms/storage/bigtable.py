"""The store in Bigtable: for production; the emulator where BIGTABLE_EMULATOR_HOST is set.

**Cells.** A row is one cell, `r:row`, with the whole record in MessagePack, so that no reader sees half of one. The
cell's timestamp decides which of two writes stands:

* Users, identities and members: the revision, in milliseconds. Reads take the newest cell, so an older write that is
  retried late changes nothing; of equal revisions the last write stands. Revisions before 1970 count as 0.
* Events: the arrival, for rules of garbage collection by age. Each write deletes the cell that is there, in the same
  mutation, so that the last one stands.
* All else: always 0. Bigtable overwrites a cell of the same timestamp, so the write that it applies last stands,
  whatever any clock says. This is how the ledger works. A claim is written only where there is no cell
  (CheckAndMutateRow, atomic in a row), so it never covers a record. A record is sent only after the claim's answer,
  lands on the same cell and replaces it, also when its `at` lies far in the past and also when the row was released
  and is claimed and recorded again. Server-assigned timestamps would not do: two in one millisecond, or from a clock
  that was set back, would let the claim stand.

**A claim whose answer was lost** is tried again and then finds a row: its own. Each call therefore leaves a random
token in `r:claim`, and a row that stands with this call's token is this call's claim. The same goes for a claim that is
resolved (CheckAndMutateRow on the very bytes that were read).

**Deletes** remove the cells that are there, and leave nothing that holds off later writes: a write that was in flight
when its user was deleted brings that row back. What follows: the users row of a deleted user is overwritten with a
tombstone of a greater revision in place of being deleted, state machines drop what is older than it, and deleting again
removes what came back.

**Control** is a queue for live runs on one machine, for tests and small stores: keys in the order of publishing lie on
one server, and reads pass over what was deleted there and not yet collected. On Dataflow it is a topic.

The application profile must route to one cluster: CheckAndMutateRow needs it, and a read must see the last write.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from heapq import nsmallest
from itertools import islice
from typing import TypeVar

import msgspec
from google.cloud.bigtable.data import Mutation, Row, SetCell
from google.cloud.bigtable.data.row_filters import RowFilter

from transforms.storage import keys
from transforms.storage.control import ControlRows, least_id
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
from transforms.storage.store import StoreError, newest_decisions
from transforms.storage.tables import (
    FAMILY,
    KEYS_ONLY,
    NEWEST,
    TIMEOUT,
    TRIES,
    Entry,
    Tables,
    delete_row,
    delete_until,
    set_cell,
    set_only_cell,
)

__all__ = ["BigtableStore"]

_NAMES = ("users", "events", "identities", "members", "ledger", "inbox", "metrics", "runs", "control")
_ROW, _CLAIM = b"row", b"claim"
#: Claims in flight at a time: on the emulator 16 made 2.9k/s, one 1.9k/s, 64 2.1k/s.
_CLAIMS_AT_ONCE = 16
#: Events that are looked at together.
_ROWS_AT_ONCE = 1_000
#: How often a claim may find that what stood in its way was deleted.
_ROUNDS = 8

_Record = TypeVar("_Record", bound=msgspec.Struct)


class BigtableStore:
    """See `Store`. Safe for any number of threads, which share one connection.

    Args:
      project: of Google Cloud.
      instance: the Bigtable instance, which must exist.
      create: make missing tables (needs the right to); without it a missing table is an error.
      timeout: seconds after which an operation on a batch is given up, and at most how long it is tried.
      tries: how often it is tried at most.

    Raises:
      StoreError: no credentials, no answer, no such instance, or a missing table.
    """

    def __init__(
        self, project: str, instance: str, *, create: bool, timeout: float = TIMEOUT, tries: int = TRIES
    ) -> None:
        self._tables = Tables(project, instance, _NAMES, create=create, timeout=timeout, tries=tries)
        self._claims = ThreadPoolExecutor(_CLAIMS_AT_ONCE, "claim")
        self._control = ControlRows()

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""
        self._write("users", _newest((keys.user_key(row.user), row.revision, row) for row in rows))

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive. Their cells have the time of arrival, for rules of garbage collection by age."""
        found = {keys.event_key(row.user, row.time, row.id): row for row in rows}
        encoded = ((key, msgspec.msgpack.encode(row), _timestamp(row.arrival // 1000)) for key, row in found.items())
        self._tables.mutate("events", [set_only_cell(key, _ROW, value, at) for key, value, at in encoded])

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Say whose ids, tokens and addresses are."""
        self._write("identities", _newest((keys.identity_key(row.kind, row.value), row.revision, row) for row in rows))

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""
        self._write("members", _newest((keys.member_key(row.segment, row.user), row.revision, row) for row in rows))

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._write("metrics", {keys.metric_key(row.series, row.window): (0, row) for row in rows})

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""
        self._write("ledger", {keys.ledger_key(row.user, row.send): (0, row) for row in rows})

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those users that have one."""
        found = self._tables.read("users", [keys.user_key(user) for user in users])
        return {record.user: record for record in _records(UserRow, found.values())}

    def scan_users(self) -> Iterator[UserRow]:
        """Every user row, in key order."""
        return _records(UserRow, self._scan("users", b""))

    def has_users(self) -> bool:
        """Whether there is any user row."""
        return any(True for _ in self._scan("users", b"", 1, KEYS_ONLY))

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from one on; see `Store.read_deadlines`."""
        found = ((row.deadline, row.user) for row in self.scan_users() if row.deadline is not None and of(row.user))
        return nsmallest(limit, (due for due in found if due >= start))

    def existing_events(self, wanted: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those keys that the archive holds, with the revision of each row."""
        by_key = {keys.event_key(key.user, key.time, key.id): key for key in wanted}
        found = self._tables.read("events", list(by_key))
        return {by_key[key]: _record(EventRow, row).revision for key, row in found.items()}

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""
        return list(_records(EventRow, self._scan("events", keys.events_of(user), limit)))

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, page by page."""
        return _records(EventRow, self._scan("events", keys.events_of(user)))

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of."""
        found = iter(self._scan("events", b""))
        while some := list(islice(found, _ROWS_AT_ONCE)):
            rows = {row.row_key: _record(EventRow, row) for row in some}
            known = self.read_users(sorted({row.user for row in rows.values()}))
            revisions = {name: row.revision for name, row in known.items()}
            gone = [key for key, row in rows.items() if row.revision > revisions.get(row.user, 0)]
            self._delete("events", gone)

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one."""
        found = self._tables.read("identities", [keys.identity_key(kind, value) for value in values])
        return {record.value: record for record in _records(IdentityRow, found.values())}

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""
        return (row for row in _records(MemberRow, self._scan("members", keys.members_of(segment))) if row.active)

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""
        return list(
            _records(MetricRow, self._tables.read("metrics", [keys.metric_key(*each) for each in wanted]).values())
        )

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window."""
        return _records(MetricRow, self._scan("metrics", keys.metrics_of(prefix)))

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends; None where this call made the claim, else the row that stood there."""
        token = os.urandom(8)
        standing: dict[str, LedgerRow | None] = {}
        pending: dict[bytes, LedgerRow] = {}
        for row in rows:
            pending.setdefault(keys.ledger_key(row.user, row.send), row)
        for _ in range(_ROUNDS):
            calls = {key: self._claims.submit(self._claim, key, row, token) for key, row in pending.items()}
            wait(calls.values())
            taken = [key for key, call in calls.items() if not call.result()]
            standing.update({row.send: None for row in pending.values()})
            for key, found in self._tables.read("ledger", taken).items():
                ours = _cell_of(found, _CLAIM) == token
                standing[pending.pop(key).send] = None if ours else _record(LedgerRow, found)
            # What stood in the way and is gone was deleted in between: claim again.
            pending = {key: pending[key] for key in taken if key in pending}
            if not pending:
                return standing
        raise StoreError(f"Bigtable table `ledger`: {len(pending)} claimed rows are deleted again and again")

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that stand as they were read; the new rows that this call wrote."""
        token = os.urandom(8)
        wanted: dict[bytes, tuple[LedgerRow, LedgerRow]] = {}
        for old, new in changes:
            wanted.setdefault(keys.ledger_key(old.user, old.send), (old, new))
        # Compared as records here and as bytes there: an older version may have written the same in other bytes.
        calls = {
            key: self._claims.submit(self._resolve, key, found, wanted[key][1], token)
            for key, found in self._tables.read("ledger", list(wanted)).items()
            if _record(LedgerRow, found) == wanted[key][0]
        }
        wait(calls.values())
        written = {key for key, call in calls.items() if call.result()}
        missed = self._tables.read("ledger", [key for key in calls if key not in written])
        written.update(key for key, found in missed.items() if _cell_of(found, _CLAIM) == token)
        return [new for key, (_, new) in wanted.items() if key in written]

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest decision first."""
        return newest_decisions(_records(LedgerRow, self._scan("ledger", keys.ledger_of(user))), limit)

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""
        return _records(LedgerRow, self._scan("ledger", b""))

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole."""
        self._write("inbox", {keys.inbox_key(row.user, row.at, row.send): (0, row) for row in rows})

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return list(_records(InboxRow, self._scan("inbox", keys.inbox_of(user))))

    def delete_user(
        self, user: str, segments: Iterable[str], identities: Iterable[tuple[str, str]], *, row: bool = False
    ) -> None:
        """Delete what is kept of a user; see `Store.delete_user`, and above for what may come back."""
        kept = (("events", keys.events_of(user)), ("ledger", keys.ledger_of(user)), ("inbox", keys.inbox_of(user)))
        for table, prefix in kept:
            self._delete(table, [found.row_key for found in self._scan(table, prefix, row_filter=KEYS_ONLY)])
        self._delete("members", [keys.member_key(segment, user) for segment in segments])
        named = [keys.identity_key(kind, value) for kind, value in identities]
        theirs: list[Entry] = []
        for key, found in self._tables.read("identities", named).items():
            record = _record(IdentityRow, found)
            if record.user == user:
                # Only up to what was read: a newer registration by somebody else must outlive this.
                until = _timestamp(record.revision) + 1000
                theirs.append(delete_until(key, _ROW, until))
        self._tables.mutate("identities", theirs)
        if row:
            self._delete("users", [keys.user_key(user)])

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages to the control table; see `Store.publish_control`."""
        self._write("control", {keys.control_key(row.id): (0, row) for row in self._control.make(payloads, at)})

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, without those to skip."""
        start = b"" if since is None else keys.control_key(least_id(since))
        if not skip:
            return list(_records(ControlRow, self._tables.scan("control", start, None, limit)))
        skipped = {keys.control_key(each) for each in skip}
        oldest = (found.row_key for found in self._tables.scan("control", start, None, limit + len(skipped), KEYS_ONLY))
        asked = islice((key for key in oldest if key not in skipped), limit)
        return sorted(_records(ControlRow, self._tables.read("control", list(asked)).values()), key=lambda row: row.id)

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages of the control table."""
        self._delete("control", [keys.control_key(each) for each in ids])

    def read_run(self) -> RunRow | None:
        """What the last bounded run left."""
        return next(_records(RunRow, self._tables.read("runs", [keys.RUN_KEY]).values()), None)

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""
        self._write("runs", {keys.RUN_KEY: (0, row)})

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store."""
        return next(_records(LeaseRow, self._tables.read("runs", [keys.LEASE_KEY]).values()), None)

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write a lease where the other stands; see `Store.swap_lease`."""
        cells: list[Mutation] = [_cell(after, 0)]
        if before is None:
            written = self._tables.insert("runs", keys.LEASE_KEY, cells)
        else:
            standing = msgspec.msgpack.encode(before)
            written = self._tables.replace("runs", keys.LEASE_KEY, _ROW, standing, cells)
        # After a lost answer it was tried again, and found its own.
        return written or self.read_lease() == after

    def close(self) -> None:
        """Close the connection."""
        self._claims.shutdown()
        self._tables.close()

    def _scan(
        self, table: str, prefix: bytes, limit: int | None = None, row_filter: RowFilter = NEWEST
    ) -> Iterator[Row]:
        return self._tables.scan(table, prefix, keys.end_of(prefix), limit, row_filter)

    def _write(self, table: str, rows: Mapping[bytes, tuple[int, msgspec.Struct]]) -> None:
        entries = [
            set_cell(key, _ROW, msgspec.msgpack.encode(row), _timestamp(revision))
            for key, (revision, row) in rows.items()
        ]
        self._tables.mutate(table, entries)

    def _delete(self, table: str, row_keys: Sequence[bytes]) -> None:
        self._tables.mutate(table, [delete_row(key) for key in row_keys])

    def _claim(self, key: bytes, row: LedgerRow, token: bytes) -> bool:
        """Whether there was no row, and now there is this one."""
        return self._tables.insert("ledger", key, [_cell(row, 0), SetCell(FAMILY, _CLAIM, token, 0)])

    def _resolve(self, key: bytes, found: Row, row: LedgerRow, token: bytes) -> bool:
        """Whether the row stood as it was found, and now is this one."""
        cells: list[Mutation] = [_cell(row, 0), SetCell(FAMILY, _CLAIM, token, 0)]
        return self._tables.replace("ledger", key, _ROW, _cell_of(found, _ROW), cells)


def _newest(rows: Iterable[tuple[bytes, int, _Record]]) -> dict[bytes, tuple[int, _Record]]:
    """One row a key: the one of the greatest revision, of equal ones the last. A batch is applied in no order."""
    newest: dict[bytes, tuple[int, _Record]] = {}
    for key, revision, row in rows:
        if key not in newest or revision >= newest[key][0]:
            newest[key] = (revision, row)
    return newest


def _cell(row: msgspec.Struct, timestamp: int) -> SetCell:
    return SetCell(FAMILY, _ROW, msgspec.msgpack.encode(row), timestamp)


def _timestamp(revision: int) -> int:
    """The timestamp, in microseconds, of cells of a revision, which is in milliseconds."""
    return max(0, revision) * 1000


def _records(kind: type[_Record], rows: Iterable[Row]) -> Iterator[_Record]:
    return (_record(kind, row) for row in rows)


def _record(kind: type[_Record], row: Row) -> _Record:
    return msgspec.msgpack.decode(_cell_of(row, _ROW), type=kind)


def _cell_of(row: Row, column: bytes) -> bytes:
    return next((cell.value for cell in row.cells if cell.qualifier == column), b"")
