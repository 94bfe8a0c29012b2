"""The table of users in SQLite."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from transforms.storage.rows import UserRow
from transforms.storage.sqlite.database import PAGE, Database
from transforms.storage.users import EVERY_USER, UserRange

__all__ = ["SqliteUsers"]


class SqliteUsers(Database):
    """See `Users`."""

    def write_users(self, rows: Sequence[UserRow]) -> None:
        """Write whole user rows."""
        self._upsert("users", ("user",), rows, newest=True)

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """The rows of those users that have one."""
        return {row.user: row for row in self._among(UserRow, "users", "user", users)}

    def scan_users(self, within: UserRange = EVERY_USER) -> Iterator[UserRow]:
        """Every user row of a range, in key order."""
        after, last = within
        bound = {"where": "user <= ?", "given": (last,)} if last else {}
        return self._scan(UserRow, "users", ("user",), (after,), **bound)  # type: ignore[arg-type]

    def user_ranges(self, many: int) -> list[UserRange]:
        """Ranges of ids, of as many rows each."""
        [(rows,)] = self._query("SELECT count(*) FROM users WHERE user >= ''")
        bounds = [""]
        for _ in range(1, many):
            sql = "SELECT user FROM users WHERE user > ? ORDER BY user LIMIT 1 OFFSET ?"
            found = self._query(sql, (bounds[-1], max(0, -(-rows // many) - 1)))
            if not found:
                break
            bounds.append(found[0][0])
        return list(zip(bounds, [*bounds[1:], ""], strict=True))

    def has_users(self) -> bool:
        """Whether there is any user row."""
        return bool(self._query("SELECT 1 FROM users WHERE user >= '' LIMIT 1"))

    def read_deadlines(self, start: tuple[int, str], limit: int, of: Callable[[str], bool]) -> list[tuple[int, str]]:
        """The first deadlines from one on; see `Store.read_deadlines`."""
        return list(islice((due for due in self._deadlines(start) if of(due[1])), limit))

    def _deadlines(self, start: tuple[int, str]) -> Iterator[tuple[int, str]]:
        sql = "SELECT deadline, user FROM users WHERE deadline IS NOT NULL AND (deadline, user) >= (?, ?) "
        sql += f"ORDER BY deadline, user LIMIT {PAGE}"
        while page := self._query(sql, start):
            yield from page
            start = page[-1][0], f"{page[-1][1]}\0"
