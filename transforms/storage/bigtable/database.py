"""One connection to an instance, and rows as records in cells; `store.py` says which cells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from google.cloud.bigtable.data import Row, SetCell
from google.cloud.bigtable.data.row_filters import RowFilter

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.tables import FAMILY, NEWEST, Tables, delete_row, set_cell

__all__ = ["BY_ARRIVAL", "NAMES", "ROW", "Database", "cell", "cell_of", "newest", "record", "records", "timestamp"]

#: The tables of an instance.
NAMES = (
    *("users", "events", "identities", "members", "ledger", "ledger_by_state", "inbox", "metrics", "dead_letters"),
    *("runs", "control"),
)
#: Tables whose cells have the time of arrival: a rule of garbage collection by age means something there.
BY_ARRIVAL = ("events",)
#: The column that has a row's record.
ROW = b"row"

_Record = TypeVar("_Record", bound=msgspec.Struct)


class Database:
    """What the parts of a store share. Safe for any number of threads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Close the connection."""
        self._tables.close()

    def _scan(
        self, table: str, prefix: bytes, limit: int | None = None, row_filter: RowFilter = NEWEST
    ) -> Iterator[Row]:
        return self._tables.scan(table, prefix, keys.end_of(prefix), limit, row_filter)

    def _write(self, table: str, rows: Mapping[bytes, tuple[int, msgspec.Struct]]) -> None:
        entries = [
            set_cell(key, ROW, msgspec.msgpack.encode(row), timestamp(version)) for key, (version, row) in rows.items()
        ]
        self._tables.mutate(table, entries)

    def _delete(self, table: str, row_keys: Sequence[bytes]) -> None:
        self._tables.mutate(table, [delete_row(key) for key in row_keys])


def newest(rows: Iterable[tuple[bytes, int, _Record]]) -> dict[bytes, tuple[int, _Record]]:
    """One row for each key: that with the greatest version, the last of equal ones. A batch has no order."""
    newest: dict[bytes, tuple[int, _Record]] = {}
    for key, version, row in rows:
        if key not in newest or version >= newest[key][0]:
            newest[key] = (version, row)
    return newest


def cell(row: msgspec.Struct, timestamp: int) -> SetCell:
    """A record as its cell; the timestamp is in microseconds."""
    return SetCell(FAMILY, ROW, msgspec.msgpack.encode(row), timestamp)


def timestamp(version: int) -> int:
    """The timestamp, in microseconds, of cells of a version, which is in milliseconds."""
    return max(0, version) * 1000


def records(kind: type[_Record], rows: Iterable[Row]) -> Iterator[_Record]:
    """The records of rows."""
    return (record(kind, row) for row in rows)


def record(kind: type[_Record], row: Row) -> _Record:
    """The record of a row."""
    return msgspec.msgpack.decode(cell_of(row, ROW), type=kind)


def cell_of(row: Row, column: bytes) -> bytes:
    """The newest value in a column of a row; empty if it has none."""
    return next((cell.value for cell in row.cells if cell.qualifier == column), b"")
