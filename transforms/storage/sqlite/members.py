"""The table of members in SQLite."""

from collections.abc import Iterator, Sequence

from transforms.storage.rows import MemberRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteMembers"]


class SqliteMembers(Database):
    """See `Members`."""

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""
        self._upsert("members", ("segment", "user"), rows, newest=True)

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""
        return self._scan(MemberRow, "members", ("user",), ("",), where="segment = ? AND active", given=(segment,))
