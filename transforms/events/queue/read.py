"""Reading a queue: messages in the order of their ids, which is that of their arrival."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from transforms.events.queue.file import QueueError, open_to_read, queue_id, surfacing_queue

__all__ = ["QueueReader", "Queued"]

#: What is read at a time: rows until there are so many messages or bytes.
READ_MESSAGES, READ_BYTES = 2_000, 16 * 1024 * 1024

_decode = msgspec.msgpack.Decoder(list[bytes]).decode

# From the row that has the next message on: its first id may be an earlier one.
_ROWS = """
SELECT first, count, arrived, payloads FROM batches
WHERE first >= coalesce((SELECT max(first) FROM batches WHERE first <= ?), 0) AND first + count > ? AND first > 0
ORDER BY first"""


class Queued(NamedTuple):
    """A message with its id and when it arrived (microseconds UTC)."""

    id: int
    arrived: int
    payload: bytes


class QueueReader:
    """A queue for reading alone.

    Args:
      path: the file.

    Raises:
      NoQueue: it is not there, cannot be read, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_to_read(path)
        self.id = queue_id(self._connection, path)

    def read(self, start: int) -> list[Queued]:
        """The messages from an id on, as many as are read at a time; none if there are none yet.

        Raises:
          QueueError: it cannot be read, or what it holds is damaged.
        """
        found: list[Queued] = []
        size = 0
        with surfacing_queue(self._path), closing(self._connection.execute(_ROWS, (start, start))) as rows:
            for first, count, arrived, payloads in rows:
                found += (
                    Queued(first + place, arrived + place, payload)
                    for place, payload in enumerate(self._messages(first, count, payloads))
                    if first + place >= start
                )
                size += len(payloads)
                if len(found) >= READ_MESSAGES or size >= READ_BYTES:
                    break
        return found

    def pages(self, start: int = 1) -> Iterator[list[Queued]]:
        """The messages from an id on to the one that is the last now, as they are read.

        Raises:
          QueueError: see `read`.
        """
        _, end = self.span()
        while start < end and (found := self.read(start)):
            yield [each for each in found if each.id < end]
            start = found[-1].id + 1

    def span(self) -> tuple[int, int]:
        """The least id that is still there, and the next that will be.

        Raises:
          QueueError: it cannot be read.
        """
        sql = """
            SELECT (SELECT first FROM batches ORDER BY first LIMIT 1),
                (SELECT first + count FROM batches ORDER BY first DESC LIMIT 1)"""
        with surfacing_queue(self._path):
            [(first, end)] = self._connection.execute(sql).fetchall()
        return max(1, first), end

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _messages(self, first: int, count: int, payloads: bytes) -> list[bytes]:
        try:
            found = _decode(payloads)
        except (msgspec.MsgspecError, ValueError) as error:
            raise QueueError(f"the queue {self._path} is damaged: row {first} cannot be read: {error}") from error
        if len(found) != count:
            raise QueueError(f"the queue {self._path} is damaged: row {first} has {len(found)} of {count} messages")
        return found
