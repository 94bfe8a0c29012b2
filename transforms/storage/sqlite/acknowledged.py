"""What was acknowledged of embedded queues, in SQLite.

A row is what one transaction acknowledged. Some rows later they are made one.
"""

from collections.abc import Sequence

import msgspec

from transforms.storage.acknowledged import Ids, Range
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteAcknowledged"]

#: So many rows of a queue are made one.
_ROWS = 256

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Range]).decode


class SqliteAcknowledged(Database):
    """See `Acknowledged`."""

    def acknowledge(self, queue: str, ids: Sequence[int]) -> None:
        """Note that messages of a queue are done with."""
        with self._transaction() as connection:
            sql = "SELECT count(*), coalesce(max(number), 0) FROM acknowledged WHERE queue = ?"
            [(count, number)] = connection.execute(sql, (queue,)).fetchall()
            said = Ids((each, each) for each in ids)
            if count >= _ROWS:
                said = Ids((*said.ranges(), *self.read_acknowledged(queue).ranges()))
                connection.execute("DELETE FROM acknowledged WHERE queue = ?", (queue,))
            row = queue, number + 1, _encode(said.ranges())
            connection.execute("INSERT INTO acknowledged (queue, number, ids) VALUES (?, ?, ?)", row)

    def read_acknowledged(self, queue: str) -> Ids:
        """All that was noted of a queue."""
        rows = self._query("SELECT ids FROM acknowledged WHERE queue = ?", (queue,))
        return Ids(each for (ids,) in rows for each in _decode(ids))
