"""Tests of the rules, for `promtool test rules`: each alert above its factor, below it, in a short window that is clean
again, with too few events; of freshness, of a job that died, of one that is new, and of a segment that warms. Samples
are one a minute.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from transforms.metrics.slos.promql import counted_by
from transforms.metrics.slos.rules import alert_name, annotations_of, labels_of
from transforms.segments.values import MINUTE
from transforms.slos.alerts import PAGE, Alert, alerts_of
from transforms.slos.definitions import Indicator, ServiceLevel
from transforms.users.measures import seconds_text

__all__ = ["rule_tests"]

#: How far above or below its factor a burn is.
_ABOVE, _BELOW = Fraction(21, 20), Fraction(19, 20)
#: Rules of tests are evaluated so seldom, in minutes, and alerts are asked for then: promtool is slow.
_EVERY = 120


def rule_tests(levels: Iterable[ServiceLevel], file: str) -> dict[str, Any]:
    """The file of tests for the rules in `file`."""
    tests = [test for level in levels if level.status == "live" for test in _tests(level)]
    return {"rule_files": [file], "evaluation_interval": f"{_EVERY}m", "tests": tests}


def _tests(level: ServiceLevel) -> Iterator[dict[str, Any]]:
    """Freshness needs no floor: its minutes are events, too, of a job that is dead."""
    for alert in alerts_of(level.objective, level.length)[0]:
        share = alert.factor * (1 - level.objective)
        above, below = min(share * _ABOVE, (share + 1) / 2), share * _BELOW
        if level.indicator.kind == "freshness":  # whole minutes are bad: a share of a short window is none of them
            above, below = Fraction(1), share / 2
        long, short = alert.long // MINUTE, alert.short // MINUTE
        many = Fraction(max(level.at_least, 1000), long) * 10
        end = long + _EVERY - long % _EVERY
        yield _test(level, alert, "above the factor", [(above, end)], many, fires=True)
        yield _test(level, alert, "below the factor", [(below, end)], many, fires=False)
        clean = [(Fraction(1), end - short - 3), (Fraction(0), short + 3)]
        yield _test(level, alert, "clean again", clean, many, fires=False)
        if level.indicator.kind == "freshness" and alert.kind == PAGE:
            yield from _fresh_tests(level, alert, end)
        if level.indicator.kind != "freshness":
            few = Fraction(level.at_least, long) / 2
            yield _test(level, alert, "too few events", [(Fraction(1), end)], few, fires=False)


def _fresh_tests(level: ServiceLevel, alert: Alert, end: int) -> Iterator[dict[str, Any]]:
    """Of a job that is looked at no more, of one of which nothing was known before, and of a segment that warms."""

    def looks(values: str) -> list[dict[str, str]]:
        le = seconds_text(level.indicator.below)
        return [
            {"series": f"todoke_behind_seconds_{each}", "values": values} for each in (f'bucket{{le="{le}"}}', "count")
        ]

    yield _asked(level, alert, "dead", looks(f"0+60x10 600+0x{end}"), end, fires=True)
    yield _asked(level, alert, "new", looks(f"_x{end - 10} 0+60x10"), end, fires=False)
    if level.indicator.segment:
        warming = {"series": f'todoke_warming_total{{segment="{level.indicator.segment}"}}', "values": f"1+1x{end}"}
        yield _asked(level, alert, "warming", [*looks(f"0+60x{end}"), warming], end, fires=True)


def _test(
    level: ServiceLevel, alert: Alert, name: str, parts: list[tuple[Fraction, int]], many: Fraction, *, fires: bool
) -> dict[str, Any]:
    end = sum(minutes for _, minutes in parts)
    return _asked(level, alert, name, _series(level.indicator, parts, many), end, fires=fires)


def _asked(
    level: ServiceLevel, alert: Alert, name: str, series: list[dict[str, str]], end: int, *, fires: bool
) -> dict[str, Any]:
    """A test that asks in a minute whether an alert fires."""
    expected = [{"exp_labels": labels_of(level, alert), "exp_annotations": annotations_of(level, alert)}]
    asked = {"eval_time": f"{end}m", "alertname": alert_name(level, alert), "exp_alerts": expected if fires else []}
    return {
        "name": f"{alert_name(level, alert)}: {name}",
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [asked],
    }


def _series(indicator: Indicator, parts: list[tuple[Fraction, int]], many: Fraction) -> list[dict[str, str]]:
    """Counters that grow by so many events a minute, of which shares are bad."""
    good = [((1 - bad) * many, minutes) for bad, minutes in parts]
    bad = [(bad * many, minutes) for bad, minutes in parts]
    all_of_them = [(many, minutes) for _, minutes in parts]
    if indicator.kind == "freshness":
        return _looks(indicator, parts)
    counted = counted_by(indicator)
    if counted.good:
        le = seconds_text(indicator.below)
        name = counted.good.partition("{")[0].removesuffix("_bucket")
        labels = counted.total.partition("{")[2].removesuffix("}")
        comma = f"{labels}," if labels else ""
        return [
            {"series": f'{name}_bucket{{{comma}le="{le}"}}', "values": _values(good)},
            {"series": f"{name}_count{{{labels}}}", "values": _values(all_of_them)},
        ]
    return [
        {"series": _sample(indicator, is_good=True), "values": _values(good)},
        {"series": _sample(indicator, is_good=False), "values": _values(bad)},
    ]


def _sample(indicator: Indicator, *, is_good: bool) -> str:
    """A series that the matchers of an indicator take."""
    whose = f'campaign="{indicator.campaign or "some"}",channel="{indicator.channel or "push"}"'
    match indicator.kind:
        case "success":
            return f'todoke_sends_total{{{whose},state="{"handed_off" if is_good else "failed"}"}}'
        case "accounting":
            return f'todoke_accounts_total{{outcome="{"applied" if is_good else "dead_letter"}"}}'
        case "correctness":
            return f'todoke_audited_total{{outcome="{"agree" if is_good else "differ"}"}}'
        case _:
            return f'todoke_{indicator.service}_requests_total{{status="{"200" if is_good else "503"}"}}'


def _looks(indicator: Indicator, parts: list[tuple[Fraction, int]]) -> list[dict[str, str]]:
    """Sixty looks a minute; in bad minutes one of them is too far behind.

    An increase is seen over two minutes, so half as many are bad.
    """
    counts, good, total = [0], [0], 0
    for share, minutes in parts:
        debt = Fraction(0)
        for _ in range(minutes):
            debt += share / 2
            late = debt >= 1
            debt -= late
            total += 60
            counts.append(total)
            good.append(good[-1] + (59 if late else 60))
    name, le = "todoke_behind_seconds", seconds_text(indicator.below)
    return [
        {"series": f'{name}_bucket{{le="{le}"}}', "values": " ".join(map(str, good))},
        {"series": f"{name}_count", "values": " ".join(map(str, counts))},
    ]


def _values(parts: list[tuple[Fraction, int]]) -> str:
    """Growth by minute in promtool's notation: each part goes on where the one before ended."""
    said, reached = [], Fraction(0)
    for step, minutes in parts:
        said.append(f"{float(reached)!r}+{float(step)!r}x{minutes}")
        reached += step * (minutes + 1)
    return " ".join(said)
