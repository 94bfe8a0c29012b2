"""The table of users in Bigtable."""

from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, newest, records
from transforms.storage.bigtable.tables import KEYS_ONLY
from transforms.storage.rows import UserRow
from transforms.storage.users import EVERY_USER, UserRange

__all__ = ["BigtableUsers"]


class BigtableUsers(Database):
    """See `Users`."""

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""
        self._write("users", newest((keys.user_key(row.user), row.version, row) for row in rows))

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those users that have one."""
        found = self._tables.read("users", [keys.user_key(user) for user in users])
        return {record.user: record for record in records(UserRow, found.values())}

    def scan_users(self, within: UserRange = EVERY_USER) -> Iterator[UserRow]:
        """Every user row of a range, in key order."""
        after, last = within
        return records(UserRow, self._tables.scan("users", after.encode(), last.encode() or None))

    def user_ranges(self, many: int) -> list[UserRange]:
        """Ranges of hashes. No key is a bound: more stands behind each hash."""
        return keys.hash_ranges(many)

    def has_users(self) -> bool:
        """Whether there is any user row."""
        return any(True for _ in self._scan("users", b"", 1, KEYS_ONLY))

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from one on; see `Store.read_deadlines`."""
        found = ((row.deadline, row.user) for row in self.scan_users() if row.deadline is not None and of(row.user))
        return nsmallest(limit, (due for due in found if due >= start))
