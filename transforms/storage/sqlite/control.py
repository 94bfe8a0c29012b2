"""The control table in SQLite."""

from collections.abc import Collection, Sequence

import msgspec

from transforms.storage.control import ControlRows, least_id
from transforms.storage.rows import ControlRow
from transforms.storage.sqlite.database import Database, columns, values

__all__ = ["SqliteControl"]


class SqliteControl(Database):
    """See `Control`."""

    _control: ControlRows

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages to the control table; see `Store.publish_control`."""
        rows = self._control.make(payloads, at)
        with self._transaction() as connection:
            connection.executemany(f"INSERT INTO control {columns(ControlRow)}", [values(row) for row in rows])

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, without those to skip."""
        start, skipped = "" if since is None else least_id(since), msgspec.json.encode(list(skip)).decode()
        rest = "control WHERE id >= ? AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
        return self._select(ControlRow, rest, (start, skipped, limit))

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages of the control table."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM control WHERE id = ?", [(each,) for each in ids])
