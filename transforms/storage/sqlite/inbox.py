"""The table of inboxes in SQLite."""

from collections.abc import Sequence

from transforms.storage.rows import InboxMarks, InboxRow
from transforms.storage.sqlite.database import Database, columns, values

__all__ = ["SqliteInbox"]

_KEYS = ("user", "at", "send")


class SqliteInbox(Database):
    """See `Inbox`."""

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole, but for their marks."""
        apart = {*_KEYS, *InboxMarks.__struct_fields__}
        fields = [name for name in InboxRow.__struct_encode_fields__ if name not in apart]
        sql = f"INSERT INTO inbox {columns(InboxRow)} ON CONFLICT ({', '.join(_KEYS)}) DO UPDATE SET "
        sql += ", ".join(f"{name} = excluded.{name}" for name in fields)
        with self._transaction() as connection:
            connection.executemany(sql, [values(row) for row in rows])

    def mark_inbox(self, rows: Sequence[InboxRow], marks: InboxMarks) -> None:
        """Set marks that are not set yet."""
        first = ", ".join(f"{name} = iif({name} = 0, ?, {name})" for name in InboxMarks.__struct_fields__)
        sql = f"UPDATE inbox SET {first} WHERE {' AND '.join(f'{key} = ?' for key in _KEYS)}"
        with self._transaction() as connection:
            connection.executemany(sql, [(*values(marks), row.user, row.at, row.send) for row in rows])

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return self._select(InboxRow, "inbox WHERE user = ? ORDER BY at DESC, send", (user,))
