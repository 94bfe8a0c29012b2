"""The store in one SQLite file: the default on one machine."""

import re
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, TypeVar

import msgspec

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

__all__ = ["SqliteStore"]

#: How long a write waits for another process's transaction, in seconds.
BUSY_SECONDS = 30.0

#: SQLite takes at most 32,766 parameters a statement (https://www.sqlite.org/limits.html); lookups ask for fewer.
_ASKED_AT_ONCE = 5_000
#: Rows that a scan has in memory.
_PAGE = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (user TEXT PRIMARY KEY, revision INTEGER, state BLOB, profile BLOB, deadline INTEGER,
    open_sends INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (user TEXT, time INTEGER, id TEXT, arrival INTEGER, type TEXT, name TEXT,
    source TEXT, payload BLOB, revision INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user, time DESC, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identities (kind TEXT, value TEXT, user TEXT, revision INTEGER,
    previous TEXT NOT NULL DEFAULT '', PRIMARY KEY (kind, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (segment TEXT, user TEXT, since INTEGER, revision INTEGER, active INTEGER,
    PRIMARY KEY (segment, user)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (user TEXT, send TEXT, state TEXT, campaign TEXT, step TEXT, channel TEXT,
    decided_at INTEGER, at INTEGER, attempts INTEGER, lease INTEGER, detail TEXT, PRIMARY KEY (user, send))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (user TEXT, at INTEGER, send TEXT, campaign TEXT, step TEXT, title TEXT, body TEXT,
    image TEXT, deep_link TEXT, data BLOB, expires INTEGER, PRIMARY KEY (user, at DESC, send)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (series TEXT, window INTEGER, count INTEGER, PRIMARY KEY (series, window))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (one INTEGER PRIMARY KEY CHECK (one = 1), run BLOB);
CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), lease BLOB);
CREATE TABLE IF NOT EXISTS control (id TEXT PRIMARY KEY, published INTEGER, payload BLOB) WITHOUT ROWID;
"""

_TABLES = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", _SCHEMA))

#: Columns that files made by older versions lack: table, column, type.
_ADDED = (
    ("users", "open_sends", "INTEGER NOT NULL DEFAULT 0"),
    ("identities", "previous", "TEXT NOT NULL DEFAULT ''"),
    ("events", "revision", "INTEGER NOT NULL DEFAULT 0"),
)

#: Made once all columns are there; a file of an older version is read through for it, once.
_INDEXES = "CREATE INDEX IF NOT EXISTS users_by_deadline ON users (deadline, user) WHERE deadline IS NOT NULL"

_Row = TypeVar("_Row", bound=msgspec.Struct)


class SqliteStore:
    """See `Store`. Threads of a process take turns; processes wait for each other up to `busy_seconds`."""

    def __init__(self, path: str | Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = str(path)
        self._lock = threading.RLock()
        self._control = ControlRows()
        with _surfacing(str(path)):
            self._connection = sqlite3.connect(
                path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._check_ours()
            self._connection.execute("PRAGMA journal_mode = WAL")
            # With a write-ahead log this loses no transaction when a process dies, only when the machine does: what
            # is committed has been written to the log, but not synced (https://www.sqlite.org/pragma.html).
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
        self._add_columns()
        with _surfacing(str(path)):
            self._connection.execute(_INDEXES)

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""
        self._upsert("users", ("user",), rows, newest=True)

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive."""
        self._upsert("events", ("user", "time", "id"), rows)

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Say whose ids, tokens and addresses are."""
        self._upsert("identities", ("kind", "value"), rows, newest=True)

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""
        self._upsert("members", ("segment", "user"), rows, newest=True)

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._upsert("metrics", ("series", "window"), rows)

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""
        self._upsert("ledger", ("user", "send"), rows)

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those users that have one."""
        return {row.user: row for row in self._among(UserRow, "users", "user", users)}

    def scan_users(self) -> Iterator[UserRow]:
        """Every user row, in key order."""
        return self._scan(UserRow, "users", ("user",), ("",))

    def has_users(self) -> bool:
        """Whether there is any user row."""
        return bool(self._query("SELECT 1 FROM users WHERE user >= '' LIMIT 1"))

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from one on; see `Store.read_deadlines`."""
        return list(islice((due for due in self._deadlines(start) if of(due[1])), limit))

    def _deadlines(self, start: tuple[int, str]) -> Iterator[tuple[int, str]]:
        sql = "SELECT deadline, user FROM users WHERE deadline IS NOT NULL AND (deadline, user) >= (?, ?) "
        sql += f"ORDER BY deadline, user LIMIT {_PAGE}"
        while page := self._query(sql, start):
            yield from page
            start = page[-1][0], f"{page[-1][1]}\0"

    def existing_events(self, keys: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those keys that the archive holds, with the revision of each row."""
        found = {}
        with self._transaction() as connection:
            for key in keys:
                sql = "SELECT revision FROM events WHERE user = ? AND time = ? AND id = ?"
                if row := connection.execute(sql, (key.user, key.time, key.id)).fetchone():
                    found[key] = row[0]
        return found

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""
        order = "ORDER BY time DESC, id LIMIT ?"
        return self._select(EventRow, f"events WHERE user = ? {order}", (user, -1 if limit is None else limit))

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, page by page."""
        rest = "events WHERE user = ? AND time <= ? AND NOT (time = ? AND id <= ?) ORDER BY time DESC, id LIMIT ?"
        time, last = 2**63 - 1, ""
        while rows := self._select(EventRow, rest, (user, time, time, last, _PAGE)):
            yield from rows
            time, last = rows[-1].time, rows[-1].id

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of."""
        known = "coalesce((SELECT revision FROM users WHERE user = ?), 0)"
        with self._transaction() as connection:
            found = connection.execute("SELECT min(user) FROM events").fetchone()
            while found[0] is not None:
                user = found[0]
                connection.execute(f"DELETE FROM events WHERE user = ? AND revision > {known}", (user, user))
                found = connection.execute("SELECT min(user) FROM events WHERE user > ?", (user,)).fetchone()

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one."""
        return {
            row.value: row
            for row in self._among(IdentityRow, "identities", "value", values, where="kind = ?", given=(kind,))
        }

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""
        return self._scan(MemberRow, "members", ("user",), ("",), where="segment = ? AND active", given=(segment,))

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""
        where = "metrics WHERE series = ? AND window = ?"
        return [row for each in wanted for row in self._select(MetricRow, where, each)]

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window."""
        # Not by substr and length, which stop at a NUL.
        rows = self._scan(MetricRow, "metrics", ("series", "window"), (prefix, -(2**63)))
        return takewhile(lambda row: row.series.startswith(prefix), rows)

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends; None where this call made the claim, else the row that stood there."""
        standing: dict[str, LedgerRow | None] = {}
        with self._transaction() as connection:
            for row in rows:
                sql = f"INSERT OR IGNORE INTO ledger {_columns(LedgerRow)}"
                made = connection.execute(sql, _values(row)).rowcount == 1
                if made:
                    standing[row.send] = None
                elif row.send not in standing:
                    where = "ledger WHERE user = ? AND send = ?"
                    standing[row.send] = self._select(LedgerRow, where, (row.user, row.send))[0]
        return standing

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that stand as they were read; the new rows that this call wrote."""
        names = LedgerRow.__struct_fields__
        sql = f"UPDATE ledger SET {', '.join(f'{name} = ?' for name in names)} "
        sql += f"WHERE {' AND '.join(f'{name} = ?' for name in names)}"
        with self._transaction() as connection:
            return [new for old, new in changes if connection.execute(sql, (*_values(new), *_values(old))).rowcount]

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest decision first."""
        rows = self._scan(LedgerRow, "ledger", ("send",), ("",), where="user = ?", given=(user,))
        return newest_decisions(rows, limit)

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""
        return self._scan(LedgerRow, "ledger", ("user", "send"), ("", ""))

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole."""
        self._upsert("inbox", ("user", "at", "send"), rows)

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return self._select(InboxRow, "inbox WHERE user = ? ORDER BY at DESC, send", (user,))

    def delete_user(
        self, user: str, segments: Iterable[str], identities: Iterable[tuple[str, str]], *, row: bool = False
    ) -> None:
        """Delete what is kept of a user; see `Store.delete_user`."""
        with self._transaction() as connection:
            for table in ("events", "ledger", "inbox", *(("users",) if row else ())):
                connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,))
            names = [(segment, user) for segment in segments]
            connection.executemany("DELETE FROM members WHERE segment = ? AND user = ?", names)
            theirs = [(kind, value, user) for kind, value in identities]
            connection.executemany("DELETE FROM identities WHERE kind = ? AND value = ? AND user = ?", theirs)

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages to the control table; see `Store.publish_control`."""
        rows = self._control.make(payloads, at)
        with self._transaction() as connection:
            connection.executemany(f"INSERT INTO control {_columns(ControlRow)}", [_values(row) for row in rows])

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, without those to skip."""
        start, skipped = "" if since is None else least_id(since), msgspec.json.encode(list(skip)).decode()
        rest = "control WHERE id >= ? AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
        return self._select(ControlRow, rest, (start, skipped, limit))

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages of the control table."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM control WHERE id = ?", [(each,) for each in ids])

    def read_run(self) -> RunRow | None:
        """What the last bounded run left."""
        found = self._query("SELECT run FROM runs WHERE one = 1")
        return msgspec.json.decode(found[0][0], type=RunRow) if found else None

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (1, ?)", (msgspec.json.encode(row),))

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store."""
        found = self._query("SELECT lease FROM lease WHERE one = 1")
        return msgspec.json.decode(found[0][0], type=LeaseRow) if found else None

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write a lease where the other stands; see `Store.swap_lease`."""
        with self._transaction() as connection:
            if self.read_lease() != before:
                return False
            connection.execute("INSERT OR REPLACE INTO lease VALUES (1, ?)", (msgspec.json.encode(after),))
            return True

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _check_ours(self) -> None:
        """Refuse the file of another program, before it gets our tables."""
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - _TABLES and not {"users", "ledger"} <= tables:
            raise StoreError(f"{self._path} is a SQLite file of another program")

    def _add_columns(self) -> None:
        """Bring a file that an older version made up to date."""
        if all(self._has_column(table, column) for table, column, _ in _ADDED):
            return
        with self._transaction() as connection:  # in which nobody else can do the same
            for table, column, kind in _ADDED:
                if not self._has_column(table, column):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def _has_column(self, table: str, column: str) -> bool:
        return bool(self._query("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)))

    def _upsert(self, table: str, keys: tuple[str, ...], rows: Sequence[Any], *, newest: bool = False) -> None:
        if not rows:
            return
        fields = [name for name in rows[0].__struct_fields__ if name not in keys]
        sql = f"INSERT INTO {table} {_columns(type(rows[0]))} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        sql += ", ".join(f"{name} = excluded.{name}" for name in fields)
        if newest:
            sql += f" WHERE excluded.revision >= {table}.revision"
        with self._transaction() as connection:
            connection.executemany(sql, [_values(row) for row in rows])

    def _among(
        self,
        kind: type[_Row],
        table: str,
        column: str,
        values: Sequence[str],
        *,
        where: str = "true",
        given: tuple[Any, ...] = (),
    ) -> list[_Row]:
        rows: list[_Row] = []
        for start in range(0, len(values), _ASKED_AT_ONCE):
            asked = values[start : start + _ASKED_AT_ONCE]
            rest = f"{table} WHERE {where} AND {column} IN ({', '.join('?' * len(asked))})"
            rows += self._select(kind, rest, (*given, *asked))
        return rows

    def _scan(
        self,
        kind: type[_Row],
        table: str,
        keys: tuple[str, ...],
        after: tuple[Any, ...],
        *,
        where: str = "true",
        given: tuple[Any, ...] = (),
    ) -> Iterator[_Row]:
        """Rows whose keys are greater than `after`, in the order of their keys, page by page."""
        names = ", ".join(keys)
        rest = f"{table} WHERE {where} AND ({names}) > ({', '.join('?' * len(keys))}) ORDER BY {names} LIMIT {_PAGE}"
        while rows := self._select(kind, rest, (*given, *after)):
            yield from rows
            after = tuple(getattr(rows[-1], key) for key in keys)

    def _select(self, kind: type[_Row], rest: str, values: tuple[Any, ...]) -> list[_Row]:
        names = kind.__struct_fields__
        found = self._query(f"SELECT {', '.join(names)} FROM {rest}", values)
        return msgspec.convert([dict(zip(names, row, strict=True)) for row in found], list[kind], strict=False)  # type: ignore[valid-type]

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _surfacing(sql):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _surfacing(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk, for one, has ended it already
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def _surfacing(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite refused: {error} ({what})") from error


def _columns(kind: type[msgspec.Struct]) -> str:
    names = kind.__struct_fields__
    return f"({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _values(row: msgspec.Struct) -> tuple[Any, ...]:
    return msgspec.structs.astuple(row)
