"""Who is in a segment: the way to ask outside the state machine.

The table of members is an index. A process that dies between two writes of a bundle may leave a row too many in it,
never one too few: memberships that begin are written before the user's row, and those that end after it. The user's row
is the truth.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from transforms.events.times import read_time
from transforms.storage.rows import MemberRow, UserRow

__all__ = ["MemberIndex", "standing_members"]

_AT_ONCE = 500


class MemberIndex(Protocol):
    """The part of a store that says who is a member; see `Members` and `Users`. A `Reader` has it too."""

    def scan_members(self, segment: str) -> Iterator[MemberRow]:
        """The active members of a segment."""

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """Rows of users."""


class _Shown(msgspec.Struct):
    """What is read of a profile: since when, by segment."""

    segments: dict[str, str] = {}


def standing_members(store: MemberIndex, segment: str) -> Iterator[MemberRow]:
    """The members of a segment, in the store's order (`Store.scan_members`); anonymous ones too.

    Raises:
      StoreError: members or users could not be read.
    """
    decoder = msgspec.json.Decoder(_Shown)
    listed = store.scan_members(segment)
    while batch := list(islice(listed, _AT_ONCE)):
        users = store.read_users([row.user for row in batch])
        for row in batch:
            said = decoder.decode(users[row.user].profile).segments if row.user in users else {}
            if segment in said:
                yield msgspec.structs.replace(row, since=read_time(said[segment]))
