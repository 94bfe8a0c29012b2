"""Whether an objective is sane, by what it would have come to: asked before a level goes live.

Times are microseconds.
"""

from fractions import Fraction

import msgspec

from transforms.metrics.slos.indicators import Minutes
from transforms.segments.values import DAY, HOUR, MINUTE
from transforms.slos.alerts import Alert, alerts_of, one_pages_below
from transforms.slos.budget import Events, burn_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["SanityFinding", "findings_of"]

#: Whoever uses less of a budget than this share has an objective that asks for nothing.
_TOO_EASY = Fraction(1, 10)


class SanityFinding(msgspec.Struct, frozen=True):
    """What is said of a level: by `kind` a word for programs. `fault`: it should not go live so."""

    kind: str
    says: str
    fault: bool = True


def findings_of(level: ServiceLevel, minutes: Minutes, now: int) -> list[SanityFinding]:
    """What is wrong with a level by the events of its window until now, and what is worth knowing."""
    events = minutes.trailing(now, level.length)
    found = [*_alerts(level, minutes, now, events), *_hold(level)]
    if not events.total:
        return [SanityFinding("no_data", "there are no events: nothing is known, and nothing would alert"), *found]
    found += _budget(level, events)
    known = now - min(minutes)
    if known < level.length:
        says = f"only {known / DAY:.1f} of {level.length // DAY} days are known"
        found.append(SanityFinding("young", says, fault=False))
    return found


def _budget(level: ServiceLevel, events: Events) -> list[SanityFinding]:
    used, allowed = burn_of(events, level.objective) or Fraction(0), (1 - level.objective) * events.total
    were = f"{events.bad:,} of {events.total:,} events were bad, and {float(allowed):,.1f} may be"
    if used >= 1:
        return [SanityFinding("missed", f"missed from the start: {were}")]
    if allowed < 1:
        return [SanityFinding("too_few", f"the first failure exhausts the budget: {were}")]
    return [SanityFinding("too_easy", f"met too easily: {were}")] if used < _TOO_EASY else []


def _alerts(level: ServiceLevel, minutes: Minutes, now: int, events: Events) -> list[SanityFinding]:
    kept, left_out = alerts_of(level.objective, level.length)
    found = [SanityFinding("left_out", str(each), fault=False) for each in left_out]
    if not kept:
        return [SanityFinding("never_alerts", "no alert could ever fire"), *found]
    most = {alert: _most(minutes, now, level.length, alert.long) for alert in kept} if events.total else {}
    silent = [alert for alert, number in most.items() if number < level.at_least]
    none_left = len(silent) == len(kept)
    for alert in silent:
        had = f"its window had at most {most[alert]:,} events, and `at_least` is {level.at_least:,}"
        says = f"{_name(alert)} could not have fired: {had}"
        found.append(SanityFinding("never_alerts" if none_left else "silent", says, fault=none_left))
    for alert in kept:
        alone = one_pages_below(alert, level.objective)
        if alert not in silent and level.at_least < alone and not _always_more(level, alert, alone):
            says = f"one bad event fires {_name(alert)} where that has fewer than {float(alone):,.1f} events"
            found.append(SanityFinding("thin", f"{says}: raise `at_least`, now {level.at_least:,}", fault=False))
    return found


def _always_more(level: ServiceLevel, alert: Alert, events: Fraction) -> bool:
    """Whether each such window has as many events by itself: freshness counts every minute."""
    return level.indicator.kind == "freshness" and alert.long // MINUTE >= events


def _hold(level: ServiceLevel) -> list[SanityFinding]:
    """A send that waited for a hold is late: a level that counts them all would spend its budget on its own hold."""
    asked = level.indicator
    if level.hold_below is None or asked.kind != "latency" or asked.service or asked.campaign:
        return []
    says = (
        f"sends that its hold keeps back are late, and count: name a campaign with a priority from {level.hold_below}"
    )
    return [SanityFinding("counts_held", says, fault=False)]


def _name(alert: Alert) -> str:
    return f"the {alert.kind} of {alert.long // HOUR} h"


def _most(minutes: Minutes, now: int, length: int, window: int) -> int:
    """The most events in any such window that ends with a minute that is known."""
    return max((minutes.trailing(minute, window).total for minute in minutes if minute > now - length), default=0)
