"""The table of identities in Bigtable."""

from collections.abc import Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, newest, records
from transforms.storage.rows import IdentityRow

__all__ = ["BigtableIdentities"]


class BigtableIdentities(Database):
    """See `Identities`."""

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Write who owns ids, tokens and addresses."""
        self._write("identities", newest((keys.identity_key(row.kind, row.value), row.version, row) for row in rows))

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one."""
        found = self._tables.read("identities", [keys.identity_key(kind, value) for value in values])
        return {record.value: record for record in records(IdentityRow, found.values())}
