"""The table of identities."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import IdentityRow

__all__ = ["LINKED_IDS", "Identities"]

#: The kinds of identities that are ids of users, by what stands before the id in a user's key.
LINKED_IDS = {"anonymous": "~", "user": ""}


class Identities(Protocol):
    """The owners of anonymous ids, former user ids, device tokens and addresses.

    Of two writes to one row the one with the greater version wins, whichever comes last.
    """

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Write who owns an id, token or address."""

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those of `values` that have one, by value."""

    def identities_of(self, user: str) -> Iterator[IdentityRow]:
        """All rows that say that something is a user's, addresses of before too, in any order.

        What an older version wrote to Bigtable is not among them.
        """
