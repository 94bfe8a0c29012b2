"""An embedded queue read live by this process: nothing is written to it, and the store knows what is acknowledged.

What a bundle makes of users, and that their messages are done with, is one transaction of the store. So what comes
again after a crash is what left nothing behind, and a message needs no duplicate to be found. Messages that end in
another way (dead letters, announcements, those that were passed on) are acknowledged right after. Times are
microseconds since the epoch, UTC.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from transforms.events.live.feed import Arrived, Backlog, now
from transforms.events.live.inflight import InFlight
from transforms.events.queue.file import NoQueue
from transforms.events.queue.mark import hold_queue, write_mark
from transforms.events.queue.read import Queued, QueueReader
from transforms.storage.acknowledged import Acknowledged, Ids
from transforms.storage.open import parse_store
from transforms.storage.sqlite.store import SqliteStore

__all__ = ["QueueFeed", "QueuePlace", "reading_queue"]

_log = logging.getLogger(__name__)

#: Messages and bytes that may be handed on and not yet acknowledged.
HELD_MESSAGES, HELD_BYTES = 5_000, 128 * 1024 * 1024
#: How long a commit may take after it has read the clock: so far behind the clock is a queue in which nothing waits.
COMMIT = 1_000_000
#: How often those who append are told what is acknowledged, in seconds.
MARK_SECONDS = 1.0


class QueuePlace(NamedTuple):
    """A queue, and the URL of the store of the job that reads it."""

    path: Path
    store: str


@contextmanager
def reading_queue(place: QueuePlace) -> Iterator[None]:
    """Be the one job that reads a queue. Connections to its store that are opened from now on lose nothing with the
    machine's power.

    Raises:
      QueueHeld: another job reads it.
      NoQueue: it cannot be read, or is an older copy of the one that the store has seen.
      StoreError: the store cannot be opened.
    """
    with hold_queue(place.path):
        with closing(QueueReader(place.path)) as reader, closing(_opened(place.store)) as store:
            store.acknowledge(reader.id, ())
            _, end = reader.span()
            if (known := store.read_acknowledged(reader.id).ranges()) and known[-1][1] >= end:
                raise NoQueue(
                    f"the queue {place.path} ends before message {end:,}, and the store has acknowledged "
                    f"{known[-1][1]:,}: it was put back from an older copy. Move it away: what is appended to it now "
                    "would have ids that are taken. `todoke queue cat` writes what is in it to a file"
                )
        yield


class QueueFeed:
    """The messages of a queue that the store has not acknowledged, in their order; see `Feed`.

    The process is `reading_queue`.

    Args:
      place: what is read, and where it is acknowledged.
      registry: notes how to acknowledge what was handed on.

    Raises:
      NoQueue: the queue cannot be opened.
      StoreError: the store cannot be.
    """

    def __init__(self, place: QueuePlace, registry: InFlight, clock: Callable[[], int] = now) -> None:
        self._place = place
        self._registry = registry
        self._clock = clock
        self._reader = QueueReader(place.path)
        self._store = _opened(place.store)
        self._lock = threading.Lock()
        self._held: dict[int, Queued] = {}
        self._held_bytes = 0
        #: Acknowledged in the transaction of what they caused; nothing is left to do when they are settled.
        self._written: set[int] = set()
        self._waiting: deque[Queued] = deque()
        self._watermark = 0
        self._closed = False
        first, _ = self._reader.span()
        known = self._store.read_acknowledged(self._reader.id).ranges()
        gone = [(1, first - 1)] if first > 1 else []
        self._known, self._acknowledged = Ids(known), Ids([*known, *gone])
        self._at = self._acknowledged.before
        self._mark()

    def next(self) -> Arrived | None:
        """The oldest message that waits; None if there is none, or as many are in flight as may be.

        Raises:
          QueueError: the queue could not be read.
        """
        if time.monotonic() >= self._marked + MARK_SECONDS:
            self._mark()
        if len(self._held) >= HELD_MESSAGES or self._held_bytes >= HELD_BYTES:
            return None
        while not self._waiting:
            if not self._read():
                return None
        message = self._waiting.popleft()
        with self._lock:
            self._held[message.id] = message
            self._held_bytes += len(message.payload)
        handle = self._registry.add(self._settled, message.id, message.arrived, within=self._write)
        return Arrived(message.payload, handle, message.arrived)

    def watermark(self) -> int:
        """The arrival before which no message comes: the oldest waiting one's, else a little before the last look."""
        if self._waiting:
            self._watermark = max(self._watermark, self._waiting[0].arrived)
        return self._watermark

    def backlog(self) -> Backlog:
        """How many messages are not acknowledged, and when the oldest of them arrived.

        Raises:
          QueueError: the queue could not be read.
        """
        _, end = self._reader.span()
        with self._lock:
            oldest = next(iter(self._held.values()), self._waiting[0] if self._waiting else None)
            return Backlog(end - 1 - len(self._acknowledged), None if oldest is None else oldest.arrived)

    def close(self) -> None:
        """Read nothing more. What is settled from now on comes again."""
        with self._lock:
            self._closed = True
        self._mark()
        self._reader.close()
        self._store.close()

    def _read(self) -> bool:
        """Take what comes next; returns whether there was anything."""
        looked = self._clock()
        found = self._reader.read(self._at)
        if not found:
            self._watermark = max(self._watermark, looked - COMMIT)
            return False
        self._at = found[-1].id + 1
        missing = set(self._known.missing(range(found[0].id, self._at)))
        self._waiting.extend(each for each in found if each.id in missing)
        return True

    def _write(self, store: Acknowledged, ids: list[int]) -> None:
        """Acknowledge in the transaction that is open on the store. If that fails, so does the job."""
        store.acknowledge(self._reader.id, ids)
        with self._lock:
            self._written.update(ids)

    def _settled(self, ids: list[int]) -> None:
        with self._lock:
            if self._closed:
                return
            left = [id_ for id_ in ids if id_ not in self._written]
        if left:
            self._store.acknowledge(self._reader.id, left)
        with self._lock:
            self._written.difference_update(ids)
            for id_ in ids:
                self._held_bytes -= len(self._held.pop(id_).payload)
                self._acknowledged.add(id_)

    def _mark(self) -> None:
        """Tell those who append; where that cannot be, they keep more."""
        self._marked = time.monotonic()
        with self._lock:
            acknowledged = Ids(self._acknowledged.ranges())
        try:
            write_mark(self._place.path, self._reader.id, acknowledged)
        except OSError as error:
            _log.warning("the queue %s is not told what is acknowledged: %s", self._place.path, error)


def _opened(url: str) -> SqliteStore:
    _, path = parse_store(url)
    return SqliteStore(path)
