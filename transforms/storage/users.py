"""The table of users."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import UserRow

__all__ = ["EVERY_USER", "UserRange", "Users"]

#: Users whose keys come after the first text, and not after the second, in the order of the store; an empty text is no
#: bound. Only the store says what texts are.
UserRange = tuple[str, str]
EVERY_USER: UserRange = ("", "")


class Users(Protocol):
    """The rows of users, anonymous ones too; only the state machine writes them.

    Of two writes to one row the one with the greater version wins, whichever comes last.
    """

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those of `users` that have one."""

    def scan_users(self, within: UserRange = EVERY_USER) -> Iterator[UserRow]:
        """Every user row of a range, anonymous ones too, in key order."""

    def user_ranges(self, many: int) -> list[UserRange]:
        """At most so many ranges of about as many users each, in key order. Together they are all users, whoever comes
        later too.
        """

    def has_users(self) -> bool:
        """Whether there is any user row."""

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from `start` on (time, user), in their order, at most `limit`, of users that `of` takes.

        SQLite has an index for it. Bigtable reads all rows of users for each call.
        """
