"""Service levels in the words of Prometheus: what is counted, by the names under which `todoke metrics --prometheus`
and services show it.
"""

from fractions import Fraction

import msgspec

from transforms.metrics.families import PREFIX
from transforms.segments.values import DAY, HOUR, MINUTE
from transforms.slos.bounds import BOUNDS
from transforms.slos.definitions import Indicator
from transforms.storage.series import escaped
from transforms.users.measures import seconds_text

__all__ = ["EventSeries", "bad_ratio", "counted_by", "events_in", "number_text", "range_text"]

#: A minute may hold one sample alone, of which no increase is known.
_LOOKED = "2m"
#: Somebody who has scraped nothing for so long does not know whether there is a job.
_KNOWN = "6h"


class EventSeries(msgspec.Struct, frozen=True):
    """Counters of an indicator: `total` counts all events, `bad` those that are bad, or `good` the others.

    Where there is no series of the bad yet there were none; of buckets there is always one.
    """

    total: str
    bad: str = ""
    good: str = ""


def counted_by(indicator: Indicator) -> EventSeries:
    """The counters of an indicator, without that of freshness, which counts minutes."""
    match indicator.kind:
        case "latency" if indicator.service:
            return _histogram(f"{indicator.service}_latency", indicator)
        case "latency":
            return _histogram("latency", indicator, ("from", indicator.start), ("to", "handed_off"))
        case "success":
            whose = (*_whose(indicator), 'reason!="held"')
            return EventSeries(
                _series("sends_total", *whose, 'state=~"handed_off|confirmed|failed|unknown|expired"'),
                _series("sends_total", *whose, 'state=~"failed|unknown|expired"'),
            )
        case "accounting":
            return EventSeries(
                _series("accounts_total", 'outcome=~"applied|dead_letter"'),
                _series("accounts_total", 'outcome="dead_letter"'),
            )
        case "correctness":
            return EventSeries(
                _series("audited_total", 'outcome=~"agree|differ"'), _series("audited_total", 'outcome="differ"')
            )
        case "availability":
            machines = () if indicator.service == "collect" else ('path!~"/live|/ready|/metrics|/openapi.json"',)
            name = f"{indicator.service}_requests_total"
            return EventSeries(_series(name, *machines), _series(name, *machines, 'status=~"5.."'))
    raise ValueError(f"{indicator.kind} is not counted by events")


def bad_ratio(indicator: Indicator, window: int) -> str:
    """The share of bad events in a trailing window (microseconds); without events it has no value, so nothing fires."""
    length = range_text(window)
    if indicator.kind == "freshness":
        return f"1 - avg_over_time(({_fresh(indicator)})[{length}:{_step(window)}])"
    counted = counted_by(indicator)
    total = f"sum(increase({counted.total}[{length}]))"
    bad = f"(sum(increase({counted.bad}[{length}])) or vector(0))"
    if counted.good:
        bad = f"({total} - sum(increase({counted.good}[{length}])))"
    return f"{bad} / ({total} > 0)"


def events_in(indicator: Indicator, window: int) -> str:
    """How many events there are in a trailing window."""
    length = range_text(window)
    if indicator.kind == "freshness":
        return f"count_over_time(({_fresh(indicator)})[{length}:{_step(window)}])"
    return f"sum(increase({counted_by(indicator).total}[{length}]))"


def _fresh(indicator: Indicator) -> str:
    """1 where the job was looked at and never further behind, and the segment did not warm, else 0.

    It has no value before anything was scraped: else what has just been set up would alert.
    """
    looks = f"sum(increase({PREFIX}behind_seconds_count[{_LOOKED}]))"
    good = f"sum(increase({_series('behind_seconds_bucket', _edge(indicator.below))}[{_LOOKED}]))"
    fresh = f"({good} >= bool ({looks} > 0))"
    if indicator.segment:
        warming = _series("warming_total", f'segment="{escaped(indicator.segment)}"')
        fresh = f"({fresh} unless sum(increase({warming}[{_LOOKED}])) > 0)"
    known = f"last_over_time({PREFIX}behind_seconds_count[{_KNOWN}] offset {_LOOKED})"
    return f"{fresh} or (0 * group({known}))"


def _step(window: int) -> str:
    """Every minute is looked at; in longer windows one in fifteen, for promtool loads few samples."""
    return "1m" if window <= DAY else "15m"


def _histogram(name: str, indicator: Indicator, *labels: tuple[str, str]) -> EventSeries:
    said = (*_whose(indicator), *(f'{label}="{value}"' for label, value in labels))
    good = _series(f"{name}_seconds_bucket", *said, _edge(indicator.below))
    return EventSeries(_series(f"{name}_seconds_count", *said), good=good)


def _edge(below: int) -> str:
    r"""The bucket of a bound: from version 3 on Prometheus writes `60` as `60.0`."""
    assert below in BOUNDS
    text = seconds_text(below)
    return f'le="{text}"' if "." in text else f'le=~"{text}([.]0)?"'


def _whose(indicator: Indicator) -> tuple[str, ...]:
    asked = (("campaign", indicator.campaign), ("channel", indicator.channel))
    return tuple(f'{label}="{escaped(value)}"' for label, value in asked if value)


def _series(name: str, *matchers: str) -> str:
    return f"{PREFIX}{name}{{{','.join(matchers)}}}" if matchers else f"{PREFIX}{name}"


def range_text(length: int) -> str:
    """A time (microseconds) as Prometheus writes it: `5m`, `1h` or `3d`."""
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if length % unit == 0:
            return f"{length // unit}{letter}"
    raise ValueError(f"{length} µs are no whole minutes")


def number_text(number: Fraction) -> str:
    """A fraction as an expression: Prometheus has floats alone, and divides them once."""
    return str(number.numerator) if number.denominator == 1 else f"({number.numerator} / {number.denominator})"
