"""The table of members."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import MemberRow

__all__ = ["Members"]


class Members(Protocol):
    """Who is in a segment, and who was: an index of what the rows of users say (see `transforms.users.members`).

    Of two writes to one row the one with the greater version wins, whichever comes last.
    """

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment: in the order of users in SQLite, in no stated one in Bigtable."""
