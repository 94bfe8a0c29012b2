"""The control table, read live by this process: the way back of a job on one machine without a topic for it.

Times are microseconds since the epoch, UTC.
"""

import threading
from collections import deque
from collections.abc import Callable

from transforms.events.live.feed import Arrived, Backlog, now
from transforms.events.live.inflight import InFlight
from transforms.storage.rows import ControlRow
from transforms.storage.store import Store

__all__ = ["ControlTable"]

#: Rows read together.
READ_AT_ONCE = 1_000
#: Rows that may be handed on and not yet deleted.
IN_FLIGHT_ROWS = 5_000
#: How long after its time of publishing a row may still reach the table.
COMMIT = 1_000_000
#: How often the whole table is read while rows are in flight, which are skipped one by one: this finds rows that took
#: longer, or whose publisher's clock is behind.
WHOLE = 5_000_000


class ControlTable:
    """The rows of a store's control table, oldest first, deleted when they are accounted for; see `Feed`.

    Args:
      store: whose table it is; closed with the feed.
      registry: notes how to delete what was handed on.
    """

    def __init__(self, store: Store, registry: InFlight, clock: Callable[[], int] = now) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._waiting: deque[ControlRow] = deque()
        self._handed_on: set[str] = set()
        self._lock = threading.Lock()
        self._watermark = 0
        #: All rows published before this have been handed on, but for those that `WHOLE` is for; when all were read.
        self._since = self._read_whole = 0

    def next(self) -> Arrived | None:
        """The oldest row that waits; None if there is none.

        Raises:
          StoreError: the table could not be read.
        """
        if not self._waiting:
            self._read()
        if not self._waiting:
            return None
        row = self._waiting.popleft()
        with self._lock:
            self._handed_on.add(row.id)
        return Arrived(row.payload, self._registry.add(self._delete, row.id, row.published), row.published)

    def watermark(self) -> int:
        """The time before which no row is expected: the oldest waiting row's, else a little before the last look."""
        if self._waiting:
            self._watermark = max(self._watermark, self._waiting[0].published)
        return self._watermark

    def backlog(self) -> Backlog | None:
        """Nobody counts the rows."""
        return None

    def close(self) -> None:
        """Close the store; rows that were not deleted stay in it."""
        self._store.close()

    def _read(self) -> None:
        with self._lock:
            skip = frozenset(self._handed_on)
        if len(skip) >= IN_FLIGHT_ROWS:
            return
        looked = self._clock()
        whole = not skip or not self._read_whole <= looked < self._read_whole + WHOLE
        rows = self._store.read_control(READ_AT_ONCE, skip, None if whole else self._since)
        if whole:
            self._read_whole = looked
        self._since = looked - COMMIT if len(rows) < READ_AT_ONCE else min(looked - COMMIT, rows[-1].published)
        self._waiting.extend(rows)
        if not self._waiting:
            self._watermark = max(self._watermark, looked - COMMIT)

    def _delete(self, ids: list[str]) -> None:
        self._store.delete_control(ids)
        with self._lock:
            self._handed_on.difference_update(ids)
