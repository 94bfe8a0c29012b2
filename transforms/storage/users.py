"""The table of users."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import UserRow

__all__ = ["Users"]


class Users(Protocol):
    """The rows of users, anonymous ones too; only the state machine writes them.

    Of two writes to one row the one with the greater version wins, whichever comes last.
    """

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those of `users` that have one."""

    def scan_users(self) -> Iterator[UserRow]:
        """Every user row, anonymous ones too, in key order."""

    def has_users(self) -> bool:
        """Whether there is any user row."""

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from `start` on (time, user), in their order, at most `limit`, of users that `of` takes.

        SQLite has an index for it. Bigtable reads all rows of users for each call.
        """
