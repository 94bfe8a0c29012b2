"""The lease in Bigtable."""

import msgspec
from google.cloud.bigtable.data import Mutation

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import ROW, Database, cell, records
from transforms.storage.rows import LeaseRow

__all__ = ["BigtableLease"]


class BigtableLease(Database):
    """See `Lease`."""

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store."""
        return next(records(LeaseRow, self._tables.read("runs", [keys.LEASE_KEY]).values()), None)

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write a lease where the other stands; see `Store.swap_lease`."""
        cells: list[Mutation] = [cell(after, 0)]
        if before is None:
            written = self._tables.insert("runs", keys.LEASE_KEY, cells)
        else:
            standing = msgspec.msgpack.encode(before)
            written = self._tables.replace("runs", keys.LEASE_KEY, ROW, standing, cells)
        # After a lost answer it was tried again, and found its own.
        return written or self.read_lease() == after
