"""The table of inboxes in Bigtable."""

from collections.abc import Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.rows import InboxRow

__all__ = ["BigtableInbox"]


class BigtableInbox(Database):
    """See `Inbox`."""

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole."""
        self._write("inbox", {keys.inbox_key(row.user, row.at, row.send): (0, row) for row in rows})

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return list(records(InboxRow, self._scan("inbox", keys.inbox_of(user))))
