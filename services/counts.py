"""What a process has counted since it started, in Prometheus' text format; and by minute, in the store's metrics."""

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from transforms.metrics.counts import INSTANCE, Histogram
from transforms.segments.values import MINUTE, SECOND
from transforms.storage.metrics import Metrics
from transforms.storage.rows import MetricRow
from transforms.storage.series import escaped, series_of
from transforms.storage.store import StoreError
from transforms.users.measures import bound_of, sum_of

__all__ = ["MinuteWriter", "ServiceCounts", "keep_minutes"]

#: How often counts are written to the store, in seconds: a process that dies loses the last ones.
WRITE_SECONDS = 10.0
#: For how many minutes counts wait for a store that is away.
MOST_MINUTES = 24 * 60
#: How long a process that ends waits for the store, in seconds.
END_SECONDS = 3.0

_Series = tuple[str, tuple[tuple[str, str], ...]]

_log = logging.getLogger(__name__)


def _now() -> int:
    return time.time_ns() // 1_000


class ServiceCounts:
    """Counters of one process. One thread adds, which is the event loop's; others may read.

    Args:
      service: a word that the names of its series begin with, behind `todoke_`; in the store's metrics without that,
        so that `{service}_{name}` stands in `measures.METRICS`.
      helps: what is counted, by name: a sentence without its end.
      clock: microseconds since the epoch.
    """

    def __init__(self, service: str, helps: Mapping[str, str], clock: Callable[[], int] = _now) -> None:
        self._service = service
        self._helps = helps
        self.clock = clock
        self._began = clock()
        self._counted: Counter[_Series] = Counter()
        self._minutes: dict[int, Counter[_Series]] = {}
        self._times: set[str] = set()
        self._newest = 0

    def add(self, name: str, count: int = 1, **labels: str) -> None:
        """Count. The values of labels must be few: words of ours, or names from a file of the operator's."""
        series = name, tuple(labels.items())
        self._counted[series] += count
        minute = self._newest = max(self._newest, self.clock() // MINUTE)  # one that was written is not begun anew
        counts = self._minutes.get(minute)
        if counts is None:
            counts = self._minutes[minute] = Counter()
            if len(self._minutes) > MOST_MINUTES:
                del self._minutes[min(self._minutes)]
        counts[series] += count

    def observe(self, name: str, seconds: float) -> None:
        """Count a time in a histogram, whose sum is in microseconds."""
        micros = max(0, round(seconds * SECOND))
        self._times.add(name)
        self.add(name, le=bound_of(micros))
        self.add(sum_of(name), micros)

    def lines(self) -> Iterator[str]:
        """The lines of the exposition, without line ends."""
        for name, says in self._helps.items():
            if name in self._times:
                yield from self._histogram(name, says)
                continue
            shown = f"todoke_{self._service}_{name}_total"
            yield f"# HELP {shown} {says}."
            yield f"# TYPE {shown} counter"
            for (each, labels), count in sorted(self._counted.items()):
                if each == name:
                    said = ",".join(f'{label}="{escaped(value)}"' for label, value in labels)
                    yield f"{shown}{{{said}}} {count}" if said else f"{shown} {count}"

    def _histogram(self, name: str, says: str) -> Iterator[str]:
        shown = f"todoke_{self._service}_{name}_seconds"
        yield f"# HELP {shown} {says}."
        yield f"# TYPE {shown} histogram"
        counted = self._counted.copy()
        buckets = {dict(labels)["le"]: count for (each, labels), count in counted.items() if each == name}
        histogram = Histogram(buckets, counted[sum_of(name), ()])
        for edge, reached in histogram.cumulative():
            yield f'{shown}_bucket{{le="{edge}"}} {reached}'
        yield f"{shown}_sum {histogram.sum / SECOND:f}"
        yield f"{shown}_count {histogram.count}"

    def sums(self) -> tuple[dict[_Series, int], int]:
        """What was counted by the names of the store's metrics, and since when."""
        counted = self._counted.copy()
        shown = {(f"{self._service}_{name}", tuple(sorted(labels))): count for (name, labels), count in counted.items()}
        return shown, self._began

    def rows(self, instance: str) -> list[MetricRow]:
        """The counts of minutes that were not forgotten, each whole, so that writing it again changes nothing."""
        return [
            MetricRow(series_of(f"{self._service}_{name}", [*labels, (INSTANCE, instance)]), minute * MINUTE, count)
            for minute, counts in sorted(self._minutes.copy().items())
            for (name, labels), count in counts.copy().items()
        ]

    def forget(self, before: int) -> None:
        """Keep the minutes that end after a time (microseconds UTC) alone."""
        for minute in [each for each in self._minutes.copy() if (each + 1) * MINUTE <= before]:
            self._minutes.pop(minute, None)


@contextmanager
def keep_minutes(
    counts: ServiceCounts, store: Callable[[], Metrics], *, every: float = WRITE_SECONDS
) -> Iterator[None]:
    """Write counts by minute to the store's metrics, as long as the context lasts, and when it ends.

    Rows are of this process alone (the label `instance`), and are written whole: neither a write that is tried again
    nor another process doubles anything. A store that is away stops nothing: counts wait, at most for a day.

    Args:
      counts: what is written.
      store: gives the store, or raises StoreError; called by a thread of its own.
      every: how often it is written, in seconds.
    """
    ending = threading.Event()
    written = MinuteWriter(counts, store)

    def write() -> None:
        while not ending.wait(every):
            written.write()
        written.write()

    writer = threading.Thread(target=write, name="minute counts", daemon=True)
    writer.start()
    try:
        yield
    finally:
        ending.set()
        writer.join(END_SECONDS)


class MinuteWriter:
    """Writes the counts of one process; see `keep_minutes`."""

    def __init__(self, counts: ServiceCounts, store: Callable[[], Metrics]) -> None:
        self._counts = counts
        self._store = store
        self._instance = secrets.token_hex(4)
        self._is_away = False

    def write(self) -> None:
        """Write all minutes that are kept; what the store refuses waits for the next time."""
        looked = self._counts.clock()
        try:
            if rows := self._counts.rows(self._instance):
                self._store().write_metrics(rows)
        except StoreError as error:
            if not self._is_away:
                _log.warning("minute counts wait for the store: %s", error)
            self._is_away = True
            return
        self._is_away = False
        self._counts.forget(looked - SECOND)  # what is being added just now is of a minute that has just ended, at most
