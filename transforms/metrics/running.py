"""The sums of a store's metrics for whoever asks again and again: a scraper, or a collector.

Times are microseconds UTC.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from transforms.events.live.feed import now
from transforms.metrics.counts import Counts, WindowCount, counts_of, summed
from transforms.metrics.families import Labels
from transforms.segments.values import DAY
from transforms.slos.definitions import SERVICES
from transforms.storage.open import open_reader
from transforms.storage.reader import Reader
from transforms.users.measures import GAUGE, METRICS

__all__ = ["RunningSums", "StoredSums"]

#: Windows of this age change seldom, as where a job reads what waited for days. They are summed once a day, and again
#: after so many times as long as that took.
_SETTLED, _AGAIN = 2 * DAY, 100.0
#: Gauges that are written as they are now, in a window of their own.
_CURRENT = ("audited_at", "queued", "queued_since")


class RunningSums:
    """Sums over all windows of a store. Most questions read the last two or three days alone.

    A counter never falls: it would be taken for one that began anew. Where an outcome takes the place of another, as
    after a sweep, the other's sum stands still until it is reached again. For one thread at a time.

    Args:
      clock: the wall clock.
      timer: seconds that pass.
    """

    def __init__(self, clock: Callable[[], int] = now, timer: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timer = timer
        self._good_until = 0.0
        self._until: int | None = None
        self._settled: dict[tuple[str, Labels], int] = {}
        self._shown: dict[tuple[str, Labels], int] = {}
        #: The first window of which anything is known.
        self.since = 0

    def read(self, store: Counts) -> dict[tuple[str, Labels], int]:
        """The sums as they are now.

        Raises:
          StoreError: the store cannot be read.
        """
        today = self._clock() // DAY * DAY
        if self._until != today - _SETTLED or self._timer() >= self._good_until:
            self._settle(store, today - _SETTLED)
        sums = dict(self._settled)
        for series, count in summed(self._noted(counts_of(store, "", self._until))).items():
            sums[series] = sums.get(series, 0) + count
        for name in _CURRENT:
            sums |= summed(each for each in counts_of(store, name) if each.name == name)
        for series, count in sums.items():
            if not _is_gauge(series[0]):
                self._shown[series] = sums[series] = max(count, self._shown.get(series, 0))
        return dict(sorted(sums.items()))

    def _settle(self, store: Counts, until: int) -> None:
        began = self._timer()
        self._settled = summed(self._noted(each for each in counts_of(store) if each.window < until))
        ended, self._until = self._timer(), until
        self._good_until = ended + _AGAIN * (ended - began)

    def _noted(self, counts: Iterable[WindowCount]) -> Iterator[WindowCount]:
        """What is added up over windows; `since` is noted."""
        for each in counts:
            if each.name not in _CURRENT:
                if 0 < each.window < (self.since or each.window + 1):
                    self.since = each.window
                yield each


class StoredSums:
    """The sums of a store by its URL, which is opened when it is there. For one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sums = RunningSums()
        self._reader: Reader | None = None

    def read(self) -> dict[tuple[str, Labels], int]:
        """All of them; see `RunningSums`.

        Raises:
          StoreError: the store cannot be opened or read now.
        """
        if self._reader is None:
            self._reader = open_reader(self._url)
        return self._sums.read(self._reader)

    def of_job(self) -> tuple[dict[tuple[str, Labels], int], int]:
        """Those that the job counted, and since when: what services count they send themselves.

        Raises:
          StoreError: see `read`.
        """
        sums = {series: count for series, count in self.read().items() if series[0].partition("_")[0] not in SERVICES}
        return sums, self._sums.since

    def close(self) -> None:
        """Close the store."""
        if self._reader is not None:
            self._reader.close()


def _is_gauge(name: str) -> bool:
    metric = METRICS.get(name)
    return metric is not None and metric.kind == GAUGE
