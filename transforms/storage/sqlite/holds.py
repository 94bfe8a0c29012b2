"""The hold in SQLite."""

import msgspec

from transforms.storage.rows import HoldRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteHolds"]


class SqliteHolds(Database):
    """See `Holds`."""

    def read_hold(self) -> HoldRow | None:
        """What is held back."""
        found = self._query("SELECT hold FROM holds WHERE one = 1")
        return msgspec.json.decode(found[0][0], type=HoldRow) if found else None

    def write_hold(self, row: HoldRow) -> None:
        """Say what is held back."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO holds VALUES (1, ?)", (msgspec.json.encode(row),))
