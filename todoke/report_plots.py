"""The plots of a run's report, as figures that plotly.js draws. Times are microseconds UTC, days UTC days."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.metrics.report import Summary
from transforms.segments.values import DAY

__all__ = ["Plot", "plots_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK = 7 * DAY
_MONDAY = 4 * DAY  # 5 January 1970
#: Bars are weeks where the events span more days than this, else days.
_DAYS_AS_BARS = 63
#: The most names in one plot: with more, colours and legends are of no use.
_NAMES_SHOWN = 8
#: Paul Tol's "bright" scheme (https://personal.sron.nl/~pault/), which the colour-blind can tell apart, and two more.
_COLOURS = ("#4477aa", "#ee8866", "#228833", "#aa3377", "#66ccee", "#ccbb44", "#ee6677", "#44bb99")
#: What went out, and what did not.
_GOOD_COLOURS, _BAD_COLOURS = ("#4477aa", "#66ccee", "#44bb99"), ("#ee6677", "#aa3377", "#ccbb44")
_GOOD_STATES = ("handed_off", "confirmed")
_OTHERS, _OTHERS_COLOUR = "others", "#8c8c8c"

#: Counts by name, then by the start of the day or bar.
_Counts = dict[str, dict[int, int]]
_Figure = dict[str, Any]


class Plot(msgspec.Struct, frozen=True):
    """One plot: its id in the page, heading, a sentence on how to read it, and `data` and `layout` for plotly.js.

    `data` is empty where the run has nothing to show.
    """

    id: str
    heading: str
    text: str
    figure: _Figure


def plots_of(summary: Summary, definitions: Definitions) -> list[Plot]:
    """Every plot of a run, in the page's order."""
    bar = _bar_length(summary)
    period = "week" if bar == _WEEK else "day"
    shown = _segments_shown(summary, definitions)
    largest = "" if len(shown) == len(definitions.segments) else f" The {_NAMES_SHOWN} segments with most entries."
    return [
        Plot(
            "events",
            f"Events per {period}",
            "What came in, by the event's name and the time at which it happened.",
            _events(summary, bar, period),
        ),
        Plot(
            "sizes",
            "Segment sizes",
            f"Members with a user id at the end of each day: all who entered so far, less all who left.{largest}",
            _sizes(summary, shown),
        ),
        Plot(
            "flows",
            f"Segment entries and exits per {period}",
            f"Entries above the line, exits below it; most exits need no event, since a window runs out.{largest}",
            _flows(summary, shown, bar, period),
        ),
        Plot(
            "sends",
            f"Sends per {period}",
            "By the time of the decision, by channel and by what became of it.",
            _sends(summary, bar, period),
        ),
        Plot(
            "refusals",
            "Refusals by reason",
            "Every decision not to send, by campaign. docs/reference/reasons.md says what each reason means.",
            _refusals(summary, definitions),
        ),
    ]


def _events(summary: Summary, bar: int, period: str) -> _Figure:
    counts = _in_bars(_most(summary.by_day("events", "event")), bar)
    colours = dict(zip(counts, _COLOURS, strict=False)) | {_OTHERS: _OTHERS_COLOUR}
    traces = [_bars(name, inner, colours[name], bar) for name, inner in counts.items()]
    return _figure(traces, f"events per {period}", barmode="stack")


def _sizes(summary: Summary, colours: dict[str, str]) -> _Figure:
    entered, left = summary.by_day("entered", "segment"), summary.by_day("left", "segment")
    days = [day for flows in (entered, left) for counts in flows.values() for day in counts]
    if not days:
        return _figure([], "")
    every_day = range(min(days), max(*days, summary.as_of) + 1, DAY)
    traces = []
    for name, colour in colours.items():
        size, sizes = 0, []
        for day in every_day:
            size += entered.get(name, {}).get(day, 0) - left.get(name, {}).get(day, 0)
            sizes.append(size)
        line = {"color": colour, "width": 2}
        traces.append(
            {"type": "scatter", "mode": "lines", "name": name, "x": _dates(every_day), "y": sizes, "line": line}
        )
    return _figure(traces, "members")


def _flows(summary: Summary, colours: dict[str, str], bar: int, period: str) -> _Figure:
    traces: list[_Figure] = []
    for series, sign in (("entered", 1), ("left", -1)):
        counts = _in_bars(summary.by_day(series, "segment"), bar)
        for name in (name for name in colours if name in counts):
            trace = _bars(name, {start: sign * count for start, count in counts[name].items()}, colours[name], bar)
            # One entry of the legend stands for both directions, and hides both.
            first = all(other["name"] != name for other in traces)
            hover = f"%{{customdata:,}} {series} %{{fullData.name}}<extra></extra>"
            trace |= {"customdata": list(counts[name].values()), "hovertemplate": hover}
            traces.append(trace | {"legendgroup": name, "showlegend": first})
    return _figure(traces, f"users per {period}", barmode="relative")


def _sends(summary: Summary, bar: int, period: str) -> _Figure:
    largest = _in_bars(_most(summary.by_day("sends", "channel", "state")), bar)
    good, bad = cycle(_GOOD_COLOURS), cycle(_BAD_COLOURS)
    colours = {name: next(good if name.endswith(_GOOD_STATES) else bad) for name in largest}
    traces = [_bars(name.replace("_", " "), inner, colours[name], bar) for name, inner in largest.items()]
    return _figure(traces, f"sends per {period}", barmode="stack")


def _refusals(summary: Summary, definitions: Definitions) -> _Figure:
    reasons = summary.by_labels("suppressed", "reason", "campaign")
    by_size = sorted(reasons, key=lambda reason: (sum(reasons[reason].values()), reason))
    campaigns = [name for name in definitions.campaigns if any(name in inner for inner in reasons.values())]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": by_size,
            "x": [reasons[reason].get(name, 0) for reason in by_size],
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:,}",
        }
        for name, colour in zip(campaigns, cycle(_COLOURS), strict=False)
    ]
    figure = _figure(traces, "", barmode="stack")
    figure["layout"] |= {
        "hovermode": "closest",
        "xaxis": {"title": {"text": "refusals"}, "tickformat": ",d"},
        "yaxis": {"type": "category", "automargin": True, "ticksuffix": "  "},
    }
    return figure


def _bars(name: str, counts: Mapping[int, int], colour: str, bar: int) -> dict[str, Any]:
    """Bars as wide as their period, beginning where it begins."""
    wide = {"offset": 0, "width": bar * 0.88 / 1000}  # plotly.js measures time in milliseconds
    x, y = _dates(counts), list(counts.values())
    return {"type": "bar", "name": name, "x": x, "y": y, "marker": {"color": colour}, "hovertemplate": "%{y:,}", **wide}


def _figure(traces: Sequence[dict[str, Any]], what: str, **layout: Any) -> _Figure:
    axes = {
        "xaxis": {"type": "date", "title": {"text": "UTC"}, "hoverformat": "%a %-d %b %Y"},
        "yaxis": {"title": {"text": what}, "tickformat": ",d", "rangemode": "tozero"},
    }
    return {"data": list(traces), "layout": {"hovermode": "x unified", **axes, **layout}}


def _bar_length(summary: Summary) -> int:
    """A week or a day, in microseconds."""
    days = [day for metric, _, day in summary.counts if metric == "events"]
    return _WEEK if days and max(days) - min(days) > _DAYS_AS_BARS * DAY else DAY


def _in_bars(counts: _Counts, bar: int) -> _Counts:
    """Counts summed by bars; weeks start on Mondays."""
    sums: _Counts = {}
    for name, inner in counts.items():
        bars = sums.setdefault(name, {})
        for day, count in sorted(inner.items()):
            start = day - (day - _MONDAY) % bar
            bars[start] = bars.get(start, 0) + count
    return sums


def _most(counts: _Counts) -> _Counts:
    """The names that count most, the largest first, and the sum of all others."""
    names = sorted(counts, key=lambda name: (-sum(counts[name].values()), name))
    shown = {name: dict(counts[name]) for name in names[:_NAMES_SHOWN]}
    for name in names[_NAMES_SHOWN:]:
        inner = shown.setdefault(_OTHERS, {})
        for day, count in counts[name].items():
            inner[day] = inner.get(day, 0) + count
    return shown


def _segments_shown(summary: Summary, definitions: Definitions) -> dict[str, str]:
    """The segments that plots show, in the order of the definitions, with their colours."""
    entered = summary.by_label("entered", "segment")
    most = sorted(definitions.segments, key=lambda name: (-entered.get(name, 0), name))[:_NAMES_SHOWN]
    return dict(zip((name for name in definitions.segments if name in most), _COLOURS, strict=False))


def _dates(times: Iterable[int]) -> list[str]:
    return [(_EPOCH + timedelta(microseconds=time)).strftime("%Y-%m-%d") for time in times]
