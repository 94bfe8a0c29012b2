"""The row of bounded runs in SQLite."""

import msgspec

from transforms.storage.rows import RunRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteRuns"]


class SqliteRuns(Database):
    """See `Runs`."""

    def read_run(self) -> RunRow | None:
        """What the last bounded run left."""
        found = self._query("SELECT run FROM runs WHERE one = 1")
        return msgspec.json.decode(found[0][0], type=RunRow) if found else None

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (1, ?)", (msgspec.json.encode(row),))
