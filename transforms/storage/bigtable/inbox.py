"""The table of inboxes in Bigtable: beside the column of a message stands one for each of its marks."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from google.cloud.bigtable.data import Mutation, Row, SetCell

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, cell_of, record
from transforms.storage.bigtable.tables import FAMILY
from transforms.storage.rows import InboxMarks, InboxRow

__all__ = ["BigtableInbox", "inbox_rows"]


class BigtableInbox(Database):
    """See `Inbox`."""

    _claims: ThreadPoolExecutor

    def write_inbox(self, rows: Sequence[InboxRow]) -> None:
        """Write inbox messages whole, but for their marks."""
        none = msgspec.structs.asdict(InboxMarks())
        bare = [msgspec.structs.replace(row, **none) for row in rows]
        self._write("inbox", {keys.inbox_key(row.user, row.at, row.send): (0, row) for row in bare})

    def mark_inbox(self, rows: Sequence[InboxRow], marks: InboxMarks) -> None:
        """Set marks that are not set yet; each message by itself, if it is still there."""

        def mark(row: InboxRow) -> None:
            given = {name: at for name, at in msgspec.structs.asdict(marks).items() if at and not getattr(row, name)}
            cells: list[Mutation] = [SetCell(FAMILY, name.encode(), b"%d" % at, 0) for name, at in given.items()]
            if cells:
                self._tables.update("inbox", keys.inbox_key(row.user, row.at, row.send), cells)

        list(self._claims.map(mark, rows))

    def read_inbox(self, user: str) -> list[InboxRow]:
        """A user's inbox, newest first."""
        return list(inbox_rows(self._scan("inbox", keys.inbox_of(user))))


def inbox_rows(rows: Iterable[Row]) -> Iterator[InboxRow]:
    """The messages of rows, with their marks."""
    for row in rows:
        found = {name: cell_of(row, name.encode()) for name in InboxMarks.__struct_fields__}
        marks = {name: int(said) for name, said in found.items() if said}
        message = record(InboxRow, row)
        yield msgspec.structs.replace(message, **marks) if marks else message
