"""Bigtable's tables in the memory of this process, which count what is sent to them.

`BigtableStore` runs on them as it is, so that keys, cells and calls are those of the product. They answer as Bigtable
does for one process: a call is done when it returns.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple

from google.cloud.bigtable.data import Cell, Row, SetCell

from transforms.storage.bigtable.store import BigtableStore
from transforms.storage.bigtable.tables import FAMILY, RowMutations
from transforms.storage.control import ControlRows

__all__ = ["CountedTables", "Traffic", "counted_store"]

#: Tables of which nothing is read in a live job: their rows are counted and forgotten.
_FORGOTTEN = ("events", "members", "ledger_by_state", "metrics")


class Traffic(NamedTuple):
    """What one kind of call sent or found: how many rows, and the bytes of their keys and values."""

    rows: int
    keys: int
    values: int

    @property
    def row_bytes(self) -> float:
        """Bytes of a row, its key included."""
        return (self.keys + self.values) / self.rows if self.rows else 0.0


class CountedTables:
    """Stands for `Tables`. Calls are counted by table and kind: `write`, `check` (an atomic one), `read`."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bytes], dict[bytes, bytes]] = {}
        self._counted: Counter[tuple[str, str, str]] = Counter()
        self._lock = Lock()

    def traffic(self, table: str, kind: str) -> Traffic:
        """What one kind of call to a table came to."""
        return Traffic(*(self._counted[table, kind, part] for part in ("rows", "keys", "values")))

    def forget_counts(self) -> None:
        """Count from nothing; rows stay."""
        self._counted.clear()

    def mutate(self, table: str, entries: Sequence[RowMutations]) -> None:
        """Apply mutations of rows."""
        for entry in entries:
            cells = [each.set_cell for each in entry.mutations if each.HasField("set_cell")]
            self._write(table, "write", entry.row_key, {each.column_qualifier: each.value for each in cells})

    def insert(self, table: str, key: bytes, cells: list[Any]) -> bool:
        """Write a row if there is none."""
        with self._lock:
            free = (table, key) not in self._rows
        self._write(table, "check", key, _values(cells) if free else {})
        return free

    def replace(self, table: str, key: bytes, column: bytes, value: bytes, cells: list[Any]) -> bool:
        """Write to a row whose column has this value."""
        with self._lock:
            stands = self._rows.get((table, key), {}).get(column) == value
        self._write(table, "check", key, _values(cells) if stands else {})
        return stands

    def read(self, table: str, row_keys: Sequence[bytes], row_filter: Any = None) -> dict[bytes, Row]:  # noqa: ARG002
        """The rows that exist, by key."""
        with self._lock:
            found = {key: self._rows[table, key] for key in row_keys if (table, key) in self._rows}
        sizes = (
            len(row_keys),
            sum(map(len, row_keys)),
            sum(len(value) for row in found.values() for value in row.values()),
        )
        self._count(table, "read", *sizes)
        return {key: _row(key, values) for key, values in found.items()}

    def scan(self, *_: Any, **__: Any) -> Iterator[Row]:
        """Nothing: a live job scans no table."""
        return iter(())

    def close(self) -> None:
        """Do nothing."""

    def _write(self, table: str, kind: str, key: bytes, values: dict[bytes, bytes]) -> None:
        self._count(table, kind, 1, len(key), sum(map(len, values.values())))
        if table not in _FORGOTTEN and values:
            with self._lock:
                self._rows.setdefault((table, key), {}).update(values)

    def _count(self, table: str, kind: str, rows: int, keys: int, values: int) -> None:
        with self._lock:
            for part, number in (("rows", rows), ("keys", keys), ("values", values)):
                self._counted[table, kind, part] += number


class _CountedStore(BigtableStore):
    def __init__(self, tables: Any) -> None:
        self._tables = tables
        self._claims = ThreadPoolExecutor(1, "claim")
        self._control = ControlRows()


def counted_store() -> tuple[BigtableStore, CountedTables]:
    """A Bigtable store on tables that count."""
    tables = CountedTables()
    return _CountedStore(tables), tables


def _values(cells: list[SetCell]) -> dict[bytes, bytes]:
    return {each.qualifier: each.new_value for each in cells}


def _row(key: bytes, values: dict[bytes, bytes]) -> Row:
    return Row(key, [Cell(value, key, FAMILY, column, 0) for column, value in values.items()])
