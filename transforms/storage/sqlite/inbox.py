"""The table of inboxes in SQLite."""

from collections.abc import Sequence

from transforms.storage.rows import InboxRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteInbox"]


class SqliteInbox(Database):
    """See `Inbox`."""

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole."""
        self._upsert("inbox", ("user", "at", "send"), rows)

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return self._select(InboxRow, "inbox WHERE user = ? ORDER BY at DESC, send", (user,))
