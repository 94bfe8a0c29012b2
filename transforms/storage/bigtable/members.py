"""The table of members in Bigtable."""

from collections.abc import Iterator, Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, newest, records
from transforms.storage.rows import MemberRow

__all__ = ["BigtableMembers"]


class BigtableMembers(Database):
    """See `Members`."""

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""
        self._write("members", newest((keys.member_key(row.segment, row.user), row.version, row) for row in rows))

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""
        return (row for row in records(MemberRow, self._scan("members", keys.members_of(segment))) if row.active)
