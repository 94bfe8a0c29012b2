"""Good and bad events of service levels by minute, read from the metrics of a store. Times are microseconds UTC."""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Protocol

from transforms.metrics.counts import Counts, WindowCount, counts_in
from transforms.segments.values import MINUTE, SECOND
from transforms.slos.budget import Events
from transforms.slos.definitions import Indicator
from transforms.storage.rows import LeaseRow
from transforms.storage.series import series_start
from transforms.users.lease import LIVE_JOB
from transforms.users.measures import seconds_text

__all__ = ["LevelSource", "Minutes", "is_expected", "read_minutes"]

#: Sends that went out, those that should have and did not; others ended as campaigns and policies say.
_SENT, _NOT_SENT = ("handed_off", "confirmed"), ("failed", "unknown", "expired")
#: What a provider of machines asks, not a customer: it is no event of availability.
_OF_MACHINES = frozenset(("/live", "/ready", "/metrics", "/openapi.json"))
#: From this status on an answer is the service's own failure.
_OWN_FAILURE = 500
#: How far a job is behind is written every ten seconds; so soon a minute is known to have no measurement.
_WRITTEN_WITHIN = 15 * SECOND


class LevelSource(Counts, Protocol):
    """The part of a store that says what levels come to."""

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store, or did last."""


class Minutes:
    """Events by the minute in which they were counted."""

    def __init__(self, counted: Mapping[int, tuple[int, int]]) -> None:
        self._minutes = sorted(counted)
        self._good = [0, *accumulate(counted[minute][0] for minute in self._minutes)]
        self._bad = [0, *accumulate(counted[minute][1] for minute in self._minutes)]

    def __iter__(self) -> Iterator[int]:
        return iter(self._minutes)

    def between(self, start: int, end: int) -> Events:
        """The events of the minutes that begin in [start, end).

        A minute may be negative where an outcome took the place of another one.
        """
        first, last = bisect_left(self._minutes, start), bisect_left(self._minutes, end)
        good, bad = (max(0, sums[last] - sums[first]) for sums in (self._good, self._bad))
        return Events(bad, good + bad)

    def trailing(self, now: int, length: int) -> Events:
        """The events of the window that ends with the minute of `now`."""
        end = now - now % MINUTE + MINUTE
        return self.between(end - length, end)


def is_expected(source: LevelSource) -> bool:
    """Whether a live job is expected to measure: it has its lease, or had it when it died, however long ago.

    Raises:
      StoreError: the store cannot be read.
    """
    lease = source.read_lease()
    return lease is not None and lease.job == LIVE_JOB and lease.until > 0


def read_minutes(source: Counts, indicator: Indicator, since: int, now: int, *, expected: bool) -> Minutes:
    """The events of an indicator by minute, from `since` on; `expected` says that a live job should measure until now.

    Raises:
      StoreError: the store cannot be read.
    """
    if indicator.kind == "freshness":
        return Minutes(_fresh(source, indicator, since, now, expected=expected))
    counted: dict[int, tuple[int, int]] = {}
    for count in _series(source, indicator, since):
        good = _is_good(indicator, count)
        if good is not None and count.window <= now:
            had = counted.get(count.window, (0, 0))
            counted[count.window] = (had[0] + count.count, had[1]) if good else (had[0], had[1] + count.count)
    return Minutes(counted)


def _series(source: Counts, indicator: Indicator, since: int) -> Iterable[WindowCount]:
    """The counts that an indicator may be of."""
    name = {
        "latency": f"{indicator.service}_latency" if indicator.service else "latency",
        "success": "sends",
        "accounting": "accounts",
        "correctness": "audited",
        "availability": f"{indicator.service}_requests",
    }[indicator.kind]
    start = series_start(name, "campaign", indicator.campaign) if indicator.campaign else f"{name}{{"
    return (count for count in counts_in(source, start, since) if count.name == name)


def _is_good(indicator: Indicator, count: WindowCount) -> bool | None:
    """Whether what was counted is good; None where it is no event of the indicator."""
    labels = count.labels
    if indicator.kind in ("latency", "success") and not indicator.service:
        asked = {"campaign": indicator.campaign, "channel": indicator.channel}
        if any(value and labels.get(label) != value for label, value in asked.items()):
            return None
    match indicator.kind:
        case "latency":
            if not indicator.service and (labels.get("from"), labels.get("to")) != (indicator.start, "handed_off"):
                return None
            return _within(labels.get("le"), indicator.below)
        case "success":
            if labels.get("reason") == "held":  # the budget policy held it back: no failure of delivery
                return None
            return _of(labels.get("state"), _SENT, _NOT_SENT)
        case "accounting":
            return _of(labels.get("outcome"), ("applied",), ("dead_letter",))
        case "correctness":
            return _of(labels.get("outcome"), ("agree",), ("differ",))
        case _:
            return None if labels.get("path") in _OF_MACHINES else int(labels.get("status") or 0) < _OWN_FAILURE


def _of(word: str | None, good: Container[str | None], bad: Container[str | None]) -> bool | None:
    return True if word in good else False if word in bad else None


def _within(edge: str | None, below: int) -> bool | None:
    """Whether the bucket of an upper bound in seconds lies below a bound; None of what is no bucket."""
    if edge is None:
        return None
    return edge != "+Inf" and float(edge) <= float(seconds_text(below))


def _fresh(source: Counts, indicator: Indicator, since: int, now: int, *, expected: bool) -> dict[int, tuple[int, int]]:
    """A minute is good if the job was looked at in it, and was never further behind; of a segment, if it did not warm
    in it either.

    If none is expected any more, minutes count up to the last one that was measured.
    """
    looked: dict[int, bool] = {}
    for count in counts_in(source, "behind{"):
        good = _within(count.labels.get("le"), indicator.below)
        if good is not None and count.count > 0 and count.window <= now:
            looked[count.window] = good and looked.get(count.window, True)
    if not looked:
        return {}
    end = max(looked) + MINUTE
    if expected:
        known = now - _WRITTEN_WITHIN
        end = max(end, known - known % MINUTE)
    first = max(min(looked), since - since % MINUTE)
    warming = _warming(source, indicator.segment, first) if indicator.segment else frozenset()
    fresh = {minute for minute, is_good in looked.items() if is_good} - warming
    return {minute: (1, 0) if minute in fresh else (0, 1) for minute in range(first, end, MINUTE)}


def _warming(source: Counts, segment: str, since: int) -> frozenset[int]:
    """The minutes in which somebody waited for a seed of the segment's conditions."""
    start = series_start("warming", "segment", segment)
    return frozenset(count.window for count in counts_in(source, start, since) if count.count > 0)
