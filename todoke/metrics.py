"""`todoke metrics`: what a live job has counted: sums by metric and labels, windows as JSON, or Prometheus' format."""

import sys
from collections.abc import Iterable, Mapping
from io import TextIOWrapper

from msgspec import structs
from rich import box
from rich.table import Table

from beam_pipelines.values import read_time
from todoke.clock import Clock, check_zone, clock
from todoke.names import check_word
from todoke.store import open_asked_reader
from todoke.tables import words
from todoke.terminal import Screen, json_text, plain_text
from transforms.events.plain import plain_lines
from transforms.metrics.counts import Histogram, WindowCount, counts_of, histograms_of, summed
from transforms.metrics.prometheus import exposition
from transforms.users.measures import HISTOGRAM, METRICS

__all__ = ["metrics"]

_Labels = tuple[tuple[str, str], ...]
#: The shares of a histogram's values for which the table shows a bound.
_SHARES = (0.5, 0.95, 0.99)


def metrics(url: str, name: str | None, since: str | None, *, prometheus: bool, zone: str, json: bool) -> None:
    """Print what was counted; the times of windows by `--zone`.

    Raises:
      WrongUse: the URL, the metric or the zone is unknown, or the time is none.
      StoreError: the store cannot be read.
    """
    check_zone(zone, of="those who are counted")
    check_word("--name", "metric", name, METRICS)
    start = None if since is None else read_time("--since", since)
    with open_asked_reader(url) as reader:
        counts = counts_of(reader, name or "", start)
        if json:
            _print_windows(counts, clock(zone))
        elif prometheus:
            _print_exposition(counts)
        else:
            _print_table(summed(counts))


def _print_windows(counts: Iterable[WindowCount], by: Clock) -> None:
    """A line for each series and window; buckets and sums of histograms are series, too."""
    for count in counts:
        shown = {"name": count.name, "labels": count.labels, "window": by.write(count.window), "count": count.count}
        print(json_text(shown))


def _print_exposition(counts: Iterable[WindowCount]) -> None:
    """Print Prometheus' format, which is UTF-8 whatever the locale is, and knows no escapes of JSON.

    Series that are one once no terminal obeys their labels are added up: none may be there twice.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    plain = (
        structs.replace(each, labels={name: plain_lines(said) for name, said in each.labels.items()}) for each in counts
    )
    for line in exposition(summed(plain)):
        print(line)


def _print_table(sums: Mapping[tuple[str, _Labels], int]) -> None:
    if not sums:
        print("todoke: nothing was counted; runs over files count campaigns alone", file=sys.stderr)
        return
    table = Table(words("metric"), words("labels"), box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("count", justify="right")
    for name in sorted(METRICS):
        if METRICS[name].kind == HISTOGRAM:
            for labels, histogram in histograms_of(sums, name).items():
                table.add_row(name, plain_text(_said(labels)), plain_text(_bounds(histogram)))
            continue
        for (found, labels), count in sums.items():
            if found == name:
                shown = count / METRICS[name].unit if METRICS[name].unit != 1 else count
                table.add_row(name, plain_text(_said(labels)), f"{shown:,}")
    Screen().print(table)


def _said(labels: _Labels) -> str:
    return ", ".join(f"{name} {value}" for name, value in labels)


def _bounds(histogram: Histogram) -> str:
    """How many values there are, and the bounds that given shares of them do not exceed."""
    bounds = ", ".join(f"{share:.0%} within {_seconds(histogram.quantile(share))}" for share in _SHARES)
    return f"{histogram.count:,}: {bounds}"


def _seconds(edge: str) -> str:
    return "more than a day" if edge == "+Inf" else f"{edge} s"
