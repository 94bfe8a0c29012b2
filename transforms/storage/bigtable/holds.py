"""The hold in Bigtable."""

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.rows import HoldRow

__all__ = ["BigtableHolds"]


class BigtableHolds(Database):
    """See `Holds`."""

    def read_hold(self) -> HoldRow | None:
        """What is held back."""
        return next(records(HoldRow, self._tables.read("runs", [keys.HOLD_KEY]).values()), None)

    def write_hold(self, row: HoldRow) -> None:
        """Say what is held back."""
        self._write("runs", {keys.HOLD_KEY: (0, row)})
