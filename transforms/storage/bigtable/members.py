"""The table of members in Bigtable."""

import time
from collections.abc import Iterable, Iterator, Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, newest, records
from transforms.storage.bigtable.tables import KEYS_ONLY
from transforms.storage.rows import MemberRow

__all__ = ["BigtableMembers"]


#: For how long it is known which segments have rows, in seconds.
_KNOWN_SECONDS = 3600.0


class BigtableMembers(Database):
    """See `Members`."""

    _prefixes: frozenset[bytes] = frozenset()
    _known_until = 0.0

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""
        self._write("members", newest((keys.member_key(row.segment, row.user), row.version, row) for row in rows))

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""
        return (row for row in records(MemberRow, self._scan("members", keys.members_of(segment))) if row.active)

    def _delete_members(self, user: str, segments: Iterable[str]) -> None:
        """Delete a user's rows in these segments, and in all that had rows an hour ago, also those defined no more."""
        if time.monotonic() >= self._known_until:
            self._prefixes, self._known_until = frozenset(self._every_segment()), time.monotonic() + _KNOWN_SECONDS
        prefixes = self._prefixes.union(keys.members_of(segment) for segment in segments)
        self._delete("members", [keys.member_in(prefix, user) for prefix in sorted(prefixes)])

    def _every_segment(self) -> Iterator[bytes]:
        """The prefixes of the keys of segments that have rows, from one to the next."""
        start: bytes | None = b""
        while start is not None:
            found = next(self._tables.scan("members", start, None, 1, KEYS_ONLY), None)
            if found is None:
                return
            prefix = keys.segment_prefix(found.row_key)
            yield prefix
            start = keys.end_of(prefix)
