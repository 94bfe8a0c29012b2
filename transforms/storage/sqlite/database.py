"""One connection to a file: statements, transactions, rows as records, and errors that surface."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from transforms.storage.store import StoreError

__all__ = ["PAGE", "Database", "columns", "surfacing", "values"]

#: SQLite takes at most 32,766 parameters a statement (https://www.sqlite.org/limits.html); lookups ask for fewer.
_ASKED_AT_ONCE = 5_000
#: Rows that a scan has in memory.
PAGE = 1_000

_Row = TypeVar("_Row", bound=msgspec.Struct)


class Database:
    """What the parts of a store share. Threads of a process take turns.

    Args:
      connection: without transactions of its own (`isolation_level=None`).
      path: of the file, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _upsert(self, table: str, keys: tuple[str, ...], rows: Sequence[Any], *, newest: bool = False) -> None:
        if not rows:
            return
        fields = [name for name in rows[0].__struct_encode_fields__ if name not in keys]
        sql = f"INSERT INTO {table} {columns(type(rows[0]))} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET "
        sql += ", ".join(f"{name} = excluded.{name}" for name in fields)
        if newest:
            sql += f" WHERE excluded.revision >= {table}.revision"
        with self._transaction() as connection:
            connection.executemany(sql, [values(row) for row in rows])

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
        at_once: int = PAGE,
    ) -> Iterator[_Row]:
        """Rows whose keys are greater than `after`, in the order of their keys, page by page."""
        names = ", ".join(keys)
        rest = f"{table} WHERE {where} AND ({names}) > ({', '.join('?' * len(keys))}) ORDER BY {names} LIMIT {at_once}"
        while rows := self._select(kind, rest, (*given, *after)):
            yield from rows
            after = tuple(getattr(rows[-1], key) for key in keys)

    def _newest(
        self,
        kind: type[_Row],
        table: str,
        time: str,
        keys: tuple[str, ...],
        after: tuple[Any, ...] | None,
        *,
        where: tuple[str, tuple[Any, ...]] = ("true", ()),
        since: int = -(2**63),
        at_once: int = PAGE,
    ) -> Iterator[_Row]:
        """Rows from `since` on, newest first, those of one time in the order of their keys.

        `after` is (time, *keys), or (time,) for what is of that time or older.

        What has one time is sought for apart: there may be millions of it, and none is passed over twice.
        """
        names = ", ".join(keys)
        marks = ", ".join("?" * len(keys))
        said, given = where
        same = f"{table} WHERE {said} AND {time} = ? AND ({names}) > ({marks}) ORDER BY {names} LIMIT {at_once}"
        older = f"{table} WHERE {said} AND {time} <= ? AND {time} >= ? ORDER BY {time} DESC, {names} LIMIT {at_once}"
        until, place = (2**63 - 1, ()) if after is None else (after[0], after[1:])
        while until >= since:
            if place:
                while rows := self._select(kind, same, (*given, until, *place)):
                    yield from rows
                    place = tuple(getattr(rows[-1], key) for key in keys)
                if until == -(2**63):
                    return
                until -= 1
            rows = self._select(kind, older, (*given, until, since))
            yield from rows
            if len(rows) < at_once:
                return
            until, place = getattr(rows[-1], time), tuple(getattr(rows[-1], key) for key in keys)

    def _select(self, kind: type[_Row], rest: str, values: tuple[Any, ...]) -> list[_Row]:
        names = kind.__struct_encode_fields__
        found = self._query(f"SELECT {', '.join(names)} FROM {rest}", values)
        return msgspec.convert([dict(zip(names, row, strict=True)) for row in found], list[kind], strict=False)  # type: ignore[valid-type]

    def _is_open(self) -> bool:
        return self._connection.in_transaction

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, surfacing(sql):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, surfacing(self._path):
            if self._is_open():  # by this thread, which has the lock
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk, for one, has ended it already
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def surfacing(what: str) -> Iterator[None]:
    """Have what SQLite refuses surface.

    Raises:
      StoreError: SQLite refused; the text names `what`.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"SQLite refused: {error} ({what})") from error


def columns(kind: type[msgspec.Struct]) -> str:
    """What follows the name of a table where records of a kind are inserted."""
    names = kind.__struct_encode_fields__
    return f"({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def values(row: msgspec.Struct) -> tuple[Any, ...]:
    """The parameters for a record, in the order of `columns`."""
    return msgspec.structs.astuple(row)
