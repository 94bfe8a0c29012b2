"""The row of bounded runs in Bigtable."""

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.rows import RunRow

__all__ = ["BigtableRuns"]


class BigtableRuns(Database):
    """See `Runs`."""

    def read_run(self) -> RunRow | None:
        """What the last bounded run left."""
        return next(records(RunRow, self._tables.read("runs", [keys.RUN_KEY]).values()), None)

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""
        self._write("runs", {keys.RUN_KEY: (0, row)})
