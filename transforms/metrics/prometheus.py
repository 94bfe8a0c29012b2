"""Metrics in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

What is in the store is counted since it was made, or since a time; so a counter here is its sum over windows.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from transforms.metrics.families import PREFIX, Family, Labels, families
from transforms.segments.values import SECOND
from transforms.storage.series import escaped
from transforms.users.measures import COUNTER, HISTOGRAM, METRICS

__all__ = ["CONTENT_TYPE", "exposition"]

#: The type of the format, for HTTP.
CONTENT_TYPE = "text/plain; version=0.0.4"


def exposition(sums: Mapping[tuple[str, Labels], int]) -> Iterator[str]:
    """The lines for sums by series, without line ends; metrics in the order of their names."""
    for family in families(sums):
        yield from _histogram(family) if family.histograms else _numbers(family)


def _numbers(family: Family) -> Iterator[str]:
    metric = METRICS[family.name]
    shown = f"{PREFIX}{family.name}_total" if metric.kind == COUNTER else f"{PREFIX}{family.name}"
    yield from _head(shown, metric.says, metric.kind)
    yield from (f"{shown}{_braces(labels)} {_number(count, metric.unit)}" for labels, count in family.numbers.items())


def _histogram(family: Family) -> Iterator[str]:
    shown = f"{PREFIX}{family.name}_seconds"
    yield from _head(shown, METRICS[family.name].says, HISTOGRAM)
    for labels, histogram in family.histograms.items():
        for edge, reached in histogram.cumulative():
            yield f"{shown}_bucket{_braces((*labels, ('le', edge)))} {reached}"
        yield f"{shown}_sum{_braces(labels)} {_number(histogram.sum, SECOND)}"
        yield f"{shown}_count{_braces(labels)} {histogram.count}"


def _head(shown: str, says: str, kind: str) -> Iterator[str]:
    yield f"# HELP {shown} {says[0].upper()}{says[1:]}."
    yield f"# TYPE {shown} {kind}"


def _braces(labels: Labels) -> str:
    said = ",".join(f'{name}="{escaped(value)}"' for name, value in labels)
    return f"{{{said}}}" if said else ""


def _number(count: int, unit: int) -> str:
    """A count in its unit, exactly."""
    return str(count) if unit == 1 else format((Decimal(count) / unit).normalize(), "f")
