"""The sums of a store's metrics for whoever asks again and again: a scraper, or a collector.

Times are microseconds UTC.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from transforms.events.live.feed import now
from transforms.metrics.counts import Counts, WindowCount, counts_of, summed
from transforms.metrics.families import Labels
from transforms.segments.values import DAY, MINUTE
from transforms.slos.definitions import SERVICES
from transforms.storage.open import open_reader
from transforms.storage.reader import Reader
from transforms.users.measures import GAUGE, METRICS

__all__ = ["RunningSums", "StoredSums"]

#: Windows of these ages change seldom. They are summed once, and again after so many times as long as that took.
_AGES, _AGAIN = (2 * DAY, 15 * MINUTE), 100.0
#: Gauges that are written as they are now, in a window of their own.
_CURRENT = ("audited_at", "queued", "queued_since")


class _Older:
    """The sums of windows between two times, of which the later one is an age ago when they are read."""

    def __init__(self, age: int) -> None:
        self.age = age
        self.since: int | None = None
        self.until = 0
        self.good_until = -math.inf
        self.sums: dict[tuple[str, Labels], int] = {}


class RunningSums:
    """Sums over all windows of a store. Most questions read the last quarter of an hour alone.

    A counter never falls: it would be taken for one that began anew. Where an outcome takes the place of another, as
    after a sweep, the other's sum stands still until it is reached again. For one thread at a time.

    Args:
      clock: the wall clock.
      timer: seconds that pass.
    """

    def __init__(self, clock: Callable[[], int] = now, timer: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timer = timer
        self._older = tuple(map(_Older, _AGES))
        self._shown: dict[tuple[str, Labels], int] = {}
        #: The first window of which anything is known.
        self.since = 0

    def read(self, store: Counts) -> dict[tuple[str, Labels], int]:
        """The sums as they are now.

        Raises:
          StoreError: the store cannot be read.
        """
        sums: Counter[tuple[str, Labels]] = Counter()
        since: int | None = None
        for older in self._older:
            if older.since != since or self._timer() >= older.good_until:
                self._sum_anew(older, store, since)
            sums.update(older.sums)
            since = older.until
        sums.update(summed(self._noted(counts_of(store, "", since))))
        for name in _CURRENT:
            dict.update(sums, summed(each for each in counts_of(store, name) if each.name == name))
        for series, count in sums.items():
            if not _is_gauge(series[0]):
                self._shown[series] = sums[series] = max(count, self._shown.get(series, 0))
        return dict(sorted(sums.items()))

    def _sum_anew(self, older: _Older, store: Counts, since: int | None) -> None:
        began, until = self._timer(), (self._clock() - older.age) // MINUTE * MINUTE
        counts = counts_of(store, "", since)
        older.sums = summed(self._noted(each for each in counts if each.window < until))
        ended, older.since, older.until = self._timer(), since, until
        older.good_until = ended + _AGAIN * (ended - began)

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
