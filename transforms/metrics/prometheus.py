"""Metrics in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

What is in the store is counted since it was made, or since a time; so a counter here is its sum over windows. A label
without a value is none: series that differ in nothing else are one, with their sum.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from transforms.metrics.counts import histograms_of
from transforms.segments.values import SECOND
from transforms.storage.series import escaped
from transforms.users.measures import COUNTER, HISTOGRAM, METRICS

__all__ = ["PREFIX", "exposition"]

#: What the names of all metrics begin with.
PREFIX = "todoke_"

#: Labels that are left out, since each day would bring new series.
_DAYS = ("complete", "day")

_Labels = tuple[tuple[str, str], ...]
_Series = tuple[str, _Labels]


def exposition(sums: Mapping[_Series, int]) -> Iterator[str]:
    """The lines for sums by series, without line ends; metrics in the order of their names."""
    sums = _without_empty(sums)
    for name in sorted(METRICS):
        metric = METRICS[name]
        if metric.kind == HISTOGRAM:
            yield from _histogram(name, sums)
            continue
        found = {labels: count for (each, labels), count in sums.items() if each == name}
        if found:
            shown = f"{PREFIX}{name}_total" if metric.kind == COUNTER else f"{PREFIX}{name}"
            yield from _head(shown, metric.says, metric.kind)
            yield from (f"{shown}{_braces(labels)} {_number(count, metric.unit)}" for labels, count in found.items())


def _without_empty(sums: Mapping[_Series, int]) -> dict[_Series, int]:
    shown: dict[_Series, int] = {}
    for (name, labels), count in sums.items():
        series = name, tuple(label for label in labels if label[1] and label[0] not in _DAYS)
        shown[series] = shown.get(series, 0) + count
    return shown


def _histogram(name: str, sums: Mapping[_Series, int]) -> Iterator[str]:
    found = histograms_of(sums, name)
    if not found:
        return
    shown = f"{PREFIX}{name}_seconds"
    yield from _head(shown, METRICS[name].says, HISTOGRAM)
    for labels, histogram in found.items():
        for edge, reached in histogram.cumulative():
            yield f"{shown}_bucket{_braces((*labels, ('le', edge)))} {reached}"
        yield f"{shown}_sum{_braces(labels)} {_number(histogram.sum, SECOND)}"
        yield f"{shown}_count{_braces(labels)} {histogram.count}"


def _head(shown: str, says: str, kind: str) -> Iterator[str]:
    yield f"# HELP {shown} {says[0].upper()}{says[1:]}."
    yield f"# TYPE {shown} {kind}"


def _braces(labels: _Labels) -> str:
    said = ",".join(f'{name}="{escaped(value)}"' for name, value in labels)
    return f"{{{said}}}" if said else ""


def _number(count: int, unit: int) -> str:
    """A count in its unit, exactly."""
    return str(count) if unit == 1 else format((Decimal(count) / unit).normalize(), "f")
