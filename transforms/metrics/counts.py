"""The table of metrics as it is read: counts with labels, and histograms. Times are microseconds UTC."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from transforms.metrics.old_names import read_old
from transforms.slos.bounds import BOUNDS
from transforms.storage.rows import MetricRow
from transforms.storage.series import read_series
from transforms.users.measures import HISTOGRAM, METRICS, seconds_text, sum_of

__all__ = ["INSTANCE", "Counts", "Histogram", "WindowCount", "counts_in", "counts_of", "histograms_of", "summed"]

#: The label of rows that one process of several writes: it tells them apart, and sums leave it out.
INSTANCE = "instance"

#: A name and its labels, sorted; of a bucket of a histogram with its `le`.
_Series = tuple[str, tuple[tuple[str, str], ...]]
#: The labels `le` of buckets, in the order of their bounds.
_EDGES = (*map(seconds_text, BOUNDS), "+Inf")


class Counts(Protocol):
    """The part of a store that has metrics; see `Store`."""

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """Rows by series and window."""


class WindowCount(msgspec.Struct, frozen=True):
    """How often something was counted in the window that starts at `window`."""

    name: str
    labels: dict[str, str]
    window: int
    count: int


class Histogram(msgspec.Struct, frozen=True):
    """How many values lie in each bucket, by its upper bound in seconds (`le`, the last `+Inf`), and their sum in
    microseconds.
    """

    buckets: dict[str, int]
    sum: int = 0

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.buckets.values())

    def at_most(self, seconds: str) -> int:
        """How many values do not exceed a bound.

        Raises:
          ValueError: it is no bound of a bucket.
        """
        if seconds not in _EDGES:
            raise ValueError(f"{seconds} s is no bound of a histogram: {', '.join(_EDGES)}")
        return sum(self.buckets.get(edge, 0) for edge in _EDGES[: _EDGES.index(seconds) + 1])

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Each bound in its order, with how many values do not exceed it."""
        reached = 0
        for edge in _EDGES:
            reached += self.buckets.get(edge, 0)
            yield edge, reached

    def quantile(self, share: float) -> str:
        """The least bound that so large a share of the values does not exceed; empty without values."""
        whole = self.count
        return next((edge for edge, reached in self.cumulative() if whole and reached >= share * whole), "")


def counts_of(store: Counts, name: str = "", since: int | None = None) -> Iterator[WindowCount]:
    """The counts of a metric, or of all, by window: a histogram's by `le`, and its sum by its own name.

    Rows of an older version are read as what they are called now; so the same series and window may come twice.

    Args:
      store: whose they are.
      name: of the metric.
      since: windows that start before it are left out.

    Raises:
      StoreError: the store cannot be read.
    """
    prefixes = (f"{name}{{", f"{sum_of(name)}{{", f"{name}/") if name else ("",)
    return (count for prefix in prefixes for count in counts_in(store, prefix, since))


def counts_in(store: Counts, prefix: str, since: int | None = None) -> Iterator[WindowCount]:
    """The counts of the series that begin so; see `counts_of`."""
    for row in store.scan_metrics(prefix, since):
        read = read_series(row.series) or read_series(read_old(row.series) or "")
        if read is not None:
            yield WindowCount(read[0], dict(read[1]), row.window, row.count)


def summed(counts: Iterable[WindowCount]) -> dict[_Series, int]:
    """The sums over all windows and instances, in the order of names and labels."""
    sums: dict[_Series, int] = {}
    for count in counts:
        series = count.name, tuple(sorted(label for label in count.labels.items() if label[0] != INSTANCE))
        sums[series] = sums.get(series, 0) + count.count
    return dict(sorted(sums.items()))


def histograms_of(sums: Mapping[_Series, int], name: str) -> dict[tuple[tuple[str, str], ...], Histogram]:
    """The histograms of a metric by their labels, without `le`; what is in no bucket of ours is left out."""
    assert METRICS[name].kind == HISTOGRAM
    buckets: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    for (found, labels), count in sums.items():
        edge = dict(labels).get("le")
        if found == name and edge in _EDGES:
            bare = tuple(label for label in labels if label[0] != "le")
            buckets.setdefault(bare, {})[edge] = count
    return {labels: Histogram(each, sums.get((sum_of(name), labels), 0)) for labels, each in buckets.items()}
