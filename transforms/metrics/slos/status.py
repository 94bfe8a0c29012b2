"""What a service level comes to at a time: budget, state since when, and alerts. Times are microseconds UTC."""

from fractions import Fraction

import msgspec

from transforms.metrics.slos.indicators import LevelSource, Minutes, is_expected, read_minutes
from transforms.segments.values import HOUR, MINUTE
from transforms.slos.alerts import Alert, LeftOut, alerts_of, fires
from transforms.slos.budget import ACT, EXHAUSTED, Events, burn_of, remaining_of, state_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["AlertStatus", "LevelStatus", "minutes_of", "status_of", "worst_hours"]


class AlertStatus(msgspec.Struct, frozen=True):
    """An alert of a level: the events of its long window, the burn in both, None without events, and whether it fires.

    On trial none is sent to anybody.
    """

    alert: Alert
    events: Events
    burn_long: Fraction | None
    burn_short: Fraction | None
    fires: bool


class LevelStatus(msgspec.Struct, frozen=True):
    """A level at a time, by the `events` of its window.

    `since` is when a state began in which something is to be done, `act` or `exhausted`: the first minute of it, at the
    most a window ago.
    """

    level: ServiceLevel
    at: int
    events: Events
    state: str
    remaining: Fraction
    burn: Fraction | None
    alerts: tuple[AlertStatus, ...]
    left_out: tuple[LeftOut, ...]
    since: int | None = None


def minutes_of(source: LevelSource, level: ServiceLevel, now: int, *, running: bool | None = None) -> Minutes:
    """The minutes of two windows of a level: of the one that ends now, and of those in which its state began.

    Args:
      source: a store.
      level: the level.
      now: the time.
      running: whether a live job is expected to run; None: as its lease says, see `is_expected`.

    Raises:
      StoreError: the store cannot be read.
    """
    expected = is_expected(source) if running is None else running
    return read_minutes(source, level.indicator, now - 2 * level.length, now, expected=expected)


def status_of(level: ServiceLevel, minutes: Minutes, now: int) -> LevelStatus:
    """What a level comes to at a time, by its minutes."""
    objective, events = level.objective, minutes.trailing(now, level.length)
    kept, left_out = alerts_of(objective, level.length)

    def trailing(length: int) -> Events:
        return minutes.trailing(now, length)

    state = state_of(events, objective)
    return LevelStatus(
        level,
        now,
        events,
        state,
        remaining_of(events, objective),
        burn_of(events, objective),
        tuple(
            AlertStatus(
                alert,
                trailing(alert.long),
                burn_of(trailing(alert.long), objective),
                burn_of(trailing(alert.short), objective),
                fires(alert, trailing, objective, level.at_least),
            )
            for alert in kept
        ),
        left_out,
        _since(level, minutes, state, now),
    )


def _since(level: ServiceLevel, minutes: Minutes, state: str, now: int) -> int | None:
    """The first minute of a state that goes on until now."""
    if state not in (ACT, EXHAUSTED):
        return None
    first = now - now % MINUTE
    while first > now - level.length:
        if state_of(minutes.trailing(first - MINUTE, level.length), level.objective) != state:
            break
        first -= MINUTE
    return first


def worst_hours(minutes: Minutes, start: int, end: int, most: int = 3) -> list[tuple[int, Events]]:
    """The hours in [start, end) with the most bad events, the worst first; those without one are left out."""
    hours = {minute - minute % HOUR for minute in minutes if start <= minute < end}
    found = ((hour, minutes.between(max(hour, start), min(hour + HOUR, end))) for hour in hours)
    return sorted((each for each in found if each[1].bad), key=lambda each: (-each[1].bad, each[0]))[:most]
