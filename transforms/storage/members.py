"""The table of members."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import MemberRow

__all__ = ["Members"]


class Members(Protocol):
    """Who is, and who was, in a segment: an index of the rows of users (see `transforms.users.members`).

    Of two writes to one row the one with the greater version wins, whichever comes last.
    """

    def write_members(self, rows: Sequence[MemberRow]) -> None:
        """Write memberships and their tombstones."""

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment: in the order of users in SQLite, in no stated one in Bigtable."""
