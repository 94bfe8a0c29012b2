"""Sums of metrics as systems of monitoring are told them: by metric, each with its series.

A label without a value is none: series that differ in nothing else are one, with their sum.
"""

from collections.abc import Iterator, Mapping

import msgspec

from transforms.metrics.counts import Histogram, histograms_of
from transforms.users.measures import HISTOGRAM, METRICS

__all__ = ["PREFIX", "Family", "Labels", "families"]

#: What the names of all metrics begin with.
PREFIX = "todoke_"
#: Labels that are left out, since each day would bring new series.
_DAYS = ("complete", "day")

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, frozen=True):
    """A metric of `METRICS` with what was counted of it by labels: `numbers` in its unit, or `histograms`."""

    name: str
    numbers: Mapping[Labels, int] = {}
    histograms: Mapping[Labels, Histogram] = {}


def families(sums: Mapping[tuple[str, Labels], int]) -> Iterator[Family]:
    """The metrics of which something was counted, in the order of their names."""
    shown: dict[tuple[str, Labels], int] = {}
    for (name, labels), count in sums.items():
        kept = tuple(label for label in labels if label[1] and label[0] not in _DAYS)
        shown[name, kept] = shown.get((name, kept), 0) + count
    for name in sorted(METRICS):
        if METRICS[name].kind == HISTOGRAM:
            if histograms := histograms_of(shown, name):
                yield Family(name, histograms=histograms)
        elif numbers := {labels: count for (each, labels), count in shown.items() if each == name}:
            yield Family(name, numbers)
