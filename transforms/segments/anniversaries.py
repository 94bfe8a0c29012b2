"""Anniversaries: days that return every year, by the user's calendar."""

from datetime import date, timedelta

from transforms.segments.values import local_day, start_of_day, written_time

__all__ = ["is_anniversary", "next_turn"]


def is_anniversary(value: object, before: int, now: int, zone: str) -> bool:
    """Whether today, in the zone, is `before` days ahead of the month and day of a date or time."""
    origin, today = _origin(value, zone), local_day(now, zone)
    target = None if today is None else _shifted(today, before)
    return origin is not None and target is not None and _in_year(origin, target.year) == target


def next_turn(value: object, before: int, now: int, zone: str) -> int | None:
    """The first time after `now` at which the answer of `is_anniversary` changes; None: never."""
    origin, today = _origin(value, zone), local_day(now, zone)
    target = None if today is None else _shifted(today, before)
    if origin is None or today is None or target is None:
        return None
    if _in_year(origin, target.year) == target:
        turn = _shifted(today, 1)
    else:
        years = [year for year in (target.year, target.year + 1) if year <= date.max.year]
        coming = min((day for year in years if (day := _in_year(origin, year)) > target), default=None)
        turn = None if coming is None else coming - timedelta(days=before)
    return None if turn is None else start_of_day(turn, zone)


def _origin(value: object, zone: str) -> date | None:
    if not isinstance(value, str):
        return None
    moment = written_time(value)
    return local_day(moment, zone) if isinstance(moment, int) else moment


def _in_year(origin: date, year: int) -> date:
    """29 February falls on the 28th in common years."""
    try:
        return origin.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _shifted(day: date, days: int) -> date | None:
    ordinal = day.toordinal() + days
    return date.fromordinal(ordinal) if ordinal <= date.max.toordinal() else None
