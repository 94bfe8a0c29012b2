"""Tallies of a live job on one machine, summed in its process and written to the metrics table every second.

Prism keeps every element of a window in which panes accumulate until the window is closed, and goes through all of them
whenever the watermark moves: a job whose windows wait a day for what comes late gets slower with every minute. Here
nothing is kept but what is not written yet. A row is read before it is added to, so that a run goes on counting where
the one before it was killed (docs/decisions/0024-metrics-in-process.md). Times are microseconds UTC.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from transforms.events.live.feed import now
from transforms.metrics.transforms import WINDOW_SECONDS, counted_at, saturated
from transforms.storage.rows import MetricRow
from transforms.storage.store import Store
from transforms.users.tally import Tally

__all__ = ["SumHere", "Sums", "sums"]

#: How long a count may wait to be written, in seconds.
WRITE_SECONDS = 1.0
_WINDOW = WINDOW_SECONDS * 1_000_000
#: How often a job that is to stop is looked after, in seconds.
_LOOK_SECONDS = 0.1

#: A series and the start of its window.
_Key = tuple[str, int]


class Sums:
    """Counts that are not written yet, by series and window. Safe for threads; one process writes to a store."""

    def __init__(self) -> None:
        self._counts: Counter[_Key] = Counter()
        self._lock = threading.Lock()

    def add(self, counts: Counter[_Key]) -> None:
        """Count these, too."""
        with self._lock:
            self._counts.update(counts)

    def write(self, store: Store) -> None:
        """Add to the rows of the store what was counted since the last time.

        Raises:
          StoreError: the store cannot be read or written; these counts are lost.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:  # as every second in a job that has nothing to do
            return
        for row in store.read_metrics(counts.keys()):
            counts[row.series, row.window] += row.count
        store.write_metrics([MetricRow(*key, saturated(count)) for key, count in counts.items()])

    def keep(self, store: Store, stopped: Callable[[], bool]) -> None:
        """Write every `WRITE_SECONDS` until it is told to stop, and what is left then is for the caller to write.

        Raises:
          StoreError: as `write`.
        """
        written = time.monotonic()
        while not stopped():
            if time.monotonic() >= written + WRITE_SECONDS:
                self.write(store)
                written = time.monotonic()
            time.sleep(_LOOK_SECONDS)


sums = Sums()


class SumHere(beam.PTransform):
    """Count tallies in `sums`, in the minutes that `WriteMetrics` counts them in; somebody must write them.

    Args:
      clock: the wall clock.
    """

    def __init__(self, clock: Callable[[], int] = now) -> None:
        self.clock = clock

    def expand(self, tallies: beam.PCollection[Tally]) -> Any:
        """Sum."""
        return tallies | "Sum" >> beam.ParDo(_Sum(self.clock))


class _Sum(beam.DoFn):
    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock

    def start_bundle(self) -> None:
        self._counts: Counter[_Key] = Counter()

    def process(self, tally: Tally, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[None]:
        (*labels, _), count = tally
        at = counted_at(timestamp.micros, self.clock())
        self._counts["/".join(labels), at - at % _WINDOW] += count
        return iter(())

    def finish_bundle(self) -> None:
        sums.add(self._counts)
