"""Levels and their owners as values of JSON. Numbers are exact, as text: `1/2`."""

from fractions import Fraction
from typing import Any

from todoke.clock import Clock
from transforms.metrics.slos.status import AlertStatus, LevelStatus
from transforms.segments.values import MINUTE, SECOND

__all__ = ["level_json", "minutes_text", "percent_text", "share_text"]


def level_json(status: LevelStatus, by: Clock) -> dict[str, Any]:
    """A level at a time; the times of states by a clock."""
    level = status.level
    return {
        "slo": level.id,
        "owner": {"id": level.owner.id, "name": level.owner.name, "contact": level.owner.contact},
        "objective": percent_text(level.objective),
        "window": level.window,
        "status": level.status,
        "at": by.write(status.at),
        "state": status.state,
        "since": None if status.since is None else by.write(status.since),
        "bad": status.events.bad,
        "total": status.events.total,
        "remaining": str(status.remaining),
        "burn": None if status.burn is None else str(status.burn),
        "alerts": [_alert_json(each) for each in status.alerts],
        "left_out": [str(each) for each in status.left_out],
    }


def _alert_json(each: AlertStatus) -> dict[str, Any]:
    return {
        "kind": each.alert.kind,
        "long": each.alert.long // SECOND,
        "short": each.alert.short // SECOND,
        "factor": str(each.alert.factor),
        "bad": each.events.bad,
        "total": each.events.total,
        "burn": None if each.burn_long is None else str(each.burn_long),
        "burn_short": None if each.burn_short is None else str(each.burn_short),
        "fires": each.fires,
    }


def percent_text(share: Fraction) -> str:
    """A share in percent: as a decimal number, which every objective is."""
    percent = share * 100
    digits = 0
    while (percent * 10**digits).denominator != 1 and digits < 400:
        digits += 1
    whole, rest = divmod(int(percent * 10**digits), 10**digits)
    return f"{whole}.{rest:0{digits}}" if digits else str(whole)


def share_text(share: Fraction | None) -> str:
    """A share for people, in percent with one decimal; nothing for None."""
    return "" if share is None else f"{float(share):.1%}"


def minutes_text(length: int) -> str:
    """A time (microseconds) for people: `60 s`, `4 min 12 s`."""
    seconds = length / SECOND
    if length <= MINUTE:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s" if rest else f"{minutes:,} min"
