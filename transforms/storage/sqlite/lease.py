"""The lease in SQLite."""

import msgspec

from transforms.storage.rows import LeaseRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteLease"]


class SqliteLease(Database):
    """See `Lease`."""

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
