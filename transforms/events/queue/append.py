"""Appending to a queue: what many threads append is one commit, and many processes take turns.

Times are microseconds since the epoch, UTC.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from transforms.events.plain import counted
from transforms.events.queue.file import BUSY_SECONDS, QueueError, open_to_append, queue_id, until_free
from transforms.events.queue.mark import read_mark

__all__ = ["MESSAGE_BYTES", "MessageTooLarge", "NotTaken", "Queue"]

#: The largest message, as of a topic of Pub/Sub (cloud.google.com/pubsub/quotas).
MESSAGE_BYTES = 10_000_000
#: What one call may append, what one commit writes (or the one call that is larger), and what may wait for the next.
CALL_BYTES, COMMIT_BYTES, WAITING_BYTES = 64 * 1024 * 1024, 8 * 1024 * 1024, 128 * 1024 * 1024
#: What a message takes beside its bytes; many small ones must not take all memory.
_EACH = 100
#: How often what is too old is deleted, in seconds, and how many rows at a time: whoever appends waits for it.
PRUNE_SECONDS, PRUNED_AT_ONCE = 1.0, 500

# One statement, and so one transaction: the clock is read when the lock is held. A deleted table would make NULL of the
# arrival, which the table refuses.
_APPEND = """
INSERT INTO batches VALUES ((SELECT first + count FROM batches ORDER BY first DESC LIMIT 1), ?,
    max((SELECT arrived + count FROM batches ORDER BY first DESC LIMIT 1), arrival()), ?) RETURNING first"""
_OLD = """
SELECT max(first) FROM (SELECT first, count, arrived FROM batches ORDER BY first LIMIT ?)
WHERE first + count <= ? AND arrived + count <= ? AND first < (SELECT max(first) FROM batches)"""

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class NotTaken(QueueError):
    """Messages that the queue did not take: it is full, busy or closed, or its disk is. None of them is in it.

    Of a disk that fails while it writes nobody can say that; sent again they are duplicates by their own ids.
    """


class MessageTooLarge(QueueError):
    """A message, or all of one call together, is larger than a queue takes; nothing was appended."""


class _Asked(NamedTuple):
    payloads: Sequence[bytes]
    size: int
    answer: "Future[range]"


class Queue:
    """A queue to append to, with a thread that commits. Safe for threads; a process that forks opens its own.

    Args:
      path: the file, which is made if it is missing.
      retain: for how long messages are kept after the job has acknowledged them, in microseconds; None: for ever.
        They are deleted beside appending, and at the latest a second later where nothing is appended.
      clock: the time now.
      busy_seconds: how long a commit waits for those of other processes.

    Raises:
      NoQueue: it cannot be made or written, or is something else.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        retain: int | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self.path = Path(path)
        self._retain = retain
        self._busy_seconds = busy_seconds
        self._clock = clock
        self._connection = open_to_append(self.path, busy_seconds=busy_seconds)
        self._connection.execute("PRAGMA busy_timeout = 0")  # `until_free` waits
        self._connection.create_function("arrival", 0, clock)
        self.id = queue_id(self._connection, self.path)
        self._waiting: deque[_Asked] = deque()
        self._bytes = 0
        self._pruned = 0.0
        self._closed = self._refuses = False
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write, name=f"queue {self.path.name}", daemon=True)
        self._writer.start()

    def append(self, payloads: Sequence[bytes]) -> range:
        """Append messages, whole or not at all, and return their ids once they are on the disk.

        Raises:
          NotTaken: none of them is in the queue; the same may be taken later.
          MessageTooLarge: they never will be.
        """
        return self.submit(payloads).result()

    def submit(self, payloads: Sequence[bytes]) -> "Future[range]":
        """The same without waiting: the result, or `NotTaken`, comes when the commit has ended.

        Raises:
          NotTaken: too much waits already, or the queue is closed.
          MessageTooLarge: they are more than a queue takes.
        """
        for payload in payloads:
            if len(payload) > MESSAGE_BYTES:
                raise MessageTooLarge(f"a message has {len(payload):,} bytes; a queue takes {MESSAGE_BYTES:,}")
        size = sum(map(len, payloads)) + _EACH * len(payloads)
        if size > CALL_BYTES:
            raise MessageTooLarge(f"{counted(len(payloads), 'message')} in one call are more than {CALL_BYTES:,} bytes")
        answer: Future[range] = Future()
        if not payloads:
            answer.set_result(range(0))
            return answer
        answer.set_running_or_notify_cancel()  # what waits cannot be taken back
        with self._changed:
            if self._closed:
                raise NotTaken(f"the queue {self.path} is closed")
            if self._bytes + size > WAITING_BYTES:
                raise NotTaken(f"the queue {self.path} is behind: {self._bytes:,} bytes wait to be written")
            self._waiting.append(_Asked(payloads, size, answer))
            self._bytes += size
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Write what waits, and close; a second time changes nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join()
        self._connection.close()

    def __enter__(self) -> "Queue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        asked: list[_Asked] = []
        try:
            while True:
                asked = self._next()
                if asked:
                    self._commit(asked)
                elif self._closed:
                    return
                self._prune()
        finally:  # nobody may wait for a thread that has ended
            with self._changed:
                self._closed = True
                asked = [*asked, *self._waiting]
                self._waiting.clear()
            for each in asked:
                if not each.answer.done():
                    each.answer.set_exception(NotTaken(f"the queue {self.path} is closed"))

    def _next(self) -> list[_Asked]:
        """What goes into one commit; nothing after a while in which nothing came."""
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(PRUNE_SECONDS)
            asked: list[_Asked] = []
            size = 0
            while self._waiting and (not asked or size + self._waiting[0].size <= COMMIT_BYTES):
                asked.append(self._waiting.popleft())
                size += asked[-1].size
        return asked

    def _commit(self, asked: list[_Asked]) -> None:
        payloads = [payload for each in asked for payload in each.payloads]
        try:
            [(first,)] = self._executed(_APPEND, (len(payloads), _encode(payloads)))
        except sqlite3.Error as error:
            refused = f"the queue {self.path} did not take {counted(len(payloads), 'message')}: {error}"
            if not self._refuses:  # once: its log may be on the disk that is full
                _log.warning("%s", refused)
            self._refuses = True
            self._note_done(asked)
            for each in asked:
                each.answer.set_exception(NotTaken(refused))
            return
        if self._refuses:
            _log.warning("the queue %s takes messages again", self.path)
        self._refuses = False
        self._note_done(asked)
        for each in asked:
            each.answer.set_result(range(first, first + len(each.payloads)))
            first += len(each.payloads)

    def _executed(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Do a statement, which is a transaction: it ends when its last row is fetched."""
        return until_free(lambda: self._connection.execute(sql, values).fetchall(), self._busy_seconds)

    def _note_done(self, asked: list[_Asked]) -> None:
        with self._changed:
            self._bytes -= sum(each.size for each in asked)

    def _prune(self) -> None:
        """Delete a few rows that are too old, and acknowledged to their end; somebody else may do the same."""
        if self._retain is None or time.monotonic() < self._pruned + PRUNE_SECONDS:
            return
        self._pruned = time.monotonic()
        mark = read_mark(self.path)
        if mark is None or mark.queue != self.id:
            return
        try:
            old = PRUNED_AT_ONCE, mark.acknowledged.before, self._clock() - self._retain
            [(last,)] = self._executed(_OLD, old)
            if last is not None:
                self._executed("DELETE FROM batches WHERE first <= ?", (last,))
        except sqlite3.Error as error:  # a full disk, for one; the next look tries again
            _log.warning("old messages of the queue %s stay for now: %s", self.path, error)
