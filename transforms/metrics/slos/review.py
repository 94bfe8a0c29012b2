"""The weekly review of service levels, and the timeline of an incident, by the metrics and the ledger of a store.

Times are microseconds UTC.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import msgspec

from transforms.metrics.counts import Counts, WindowCount, counts_of
from transforms.metrics.slos.indicators import Minutes
from transforms.metrics.slos.status import LevelStatus, status_of, worst_hours
from transforms.segments.values import MINUTE
from transforms.slos.alerts import Alert, alerts_of, fires
from transforms.slos.budget import Events, state_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["Failure", "Firing", "Incident", "LevelReview", "Span", "incident_of", "review_of"]

#: What is counted of failures, by metric: the label that says which, and the values that are none.
_FAILURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sends": ("state", ("handed_off", "confirmed", "suppressed")),
    "accounts": ("outcome", ("applied", "duplicate", "deleted", "later")),
    "control": ("outcome", ("applied", "duplicate", "deleted", "later")),
    "internal": ("kind", ()),
}


class LevelReview(msgspec.Struct, frozen=True):
    """A level at the end of a week, with the events of the week alone, and its worst hours."""

    status: LevelStatus
    before: str
    week: Events
    worst: tuple[tuple[int, Events], ...]


class Span(msgspec.Struct, frozen=True):
    """Minutes on end, [start, end), in which a level had bad events, and how many."""

    level: str
    start: int
    end: int
    events: Events


class Firing(msgspec.Struct, frozen=True):
    """Minutes on end, [start, end), at whose ends an alert of a level fired."""

    level: ServiceLevel
    alert: Alert
    start: int
    end: int


class Failure(msgspec.Struct, frozen=True):
    """What failed, how often, and in which minute first: a metric with its labels."""

    first: int
    metric: str
    labels: tuple[tuple[str, str], ...]
    count: int


class Incident(msgspec.Struct, frozen=True):
    """What metrics say of a time: when levels had bad events, what each had in all and its state at the end, what
    failed, and when which alerts fired.
    """

    spans: tuple[Span, ...]
    levels: tuple[tuple[Events, LevelStatus], ...]
    failures: tuple[Failure, ...]
    firings: tuple[Firing, ...]


def review_of(level: ServiceLevel, minutes: Minutes, start: int, end: int) -> LevelReview:
    """The review of a level for a week, or what has been of it: [start, end), in whole minutes."""
    before = state_of(minutes.trailing(start - MINUTE, level.length), level.objective)
    status = status_of(level, minutes, end - MINUTE)
    return LevelReview(status, before, minutes.between(start, end), tuple(worst_hours(minutes, start, end)))


def incident_of(source: Counts, levels: Sequence[tuple[ServiceLevel, Minutes]], start: int, end: int) -> Incident:
    """What is known of [start, end).

    Raises:
      StoreError: the store cannot be read.
    """
    spans = [span for level, minutes in levels for span in _spans(level, minutes, start, end)]
    return Incident(
        tuple(sorted(spans, key=lambda span: (span.start, span.level))),
        tuple((minutes.between(start, end), status_of(level, minutes, end - MINUTE)) for level, minutes in levels),
        tuple(_failures(counts_of(source, "", start), start, end)),
        tuple(firing for level, minutes in levels for firing in _firings(level, minutes, start, end)),
    )


def _spans(level: ServiceLevel, minutes: Minutes, start: int, end: int) -> list[Span]:
    """Bad minutes that are less than five minutes apart are one span."""
    spans: list[Span] = []
    for minute in minutes:
        if start <= minute < end and minutes.between(minute, minute + MINUTE).bad:
            begun = spans.pop().start if spans and minute - spans[-1].end < 5 * MINUTE else minute
            spans.append(Span(level.id, begun, minute + MINUTE, minutes.between(begun, minute + MINUTE)))
    return spans


def _firings(level: ServiceLevel, minutes: Minutes, start: int, end: int) -> Iterator[Firing]:
    """When the alerts of a level fired, looked at once a minute; on trial they would have."""
    for alert in alerts_of(level.objective, level.length)[0]:
        begun: int | None = None
        for minute in range(start - start % MINUTE, end, MINUTE):
            fires_now = fires(alert, partial(minutes.trailing, minute), level.objective, level.at_least)
            if fires_now and begun is None:
                begun = minute
            elif not fires_now and begun is not None:
                yield Firing(level, alert, begun, minute)
                begun = None
        if begun is not None:
            yield Firing(level, alert, begun, end)


def _failures(counts: Iterable[WindowCount], start: int, end: int) -> list[Failure]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, int]] = {}
    for count in counts:
        label, fine = _FAILURES.get(count.name, ("", ()))
        if label and start <= count.window < end and count.labels.get(label) not in fine:
            key = count.name, tuple(sorted(count.labels.items()))
            first, number = found.get(key, (count.window, 0))
            found[key] = min(first, count.window), number + count.count
    failures = (Failure(first, *key, number) for key, (first, number) in found.items() if number > 0)
    return sorted(failures, key=lambda each: (each.first, each.metric, each.labels))
