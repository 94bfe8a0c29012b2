"""Quiet hours: the nights of a user's local clock in which nothing is sent."""

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from transforms.identity.zones import known_zone
from transforms.segments.values import DAY, SECOND

__all__ = ["MINUTE", "QuietHours", "first_outside", "length_of"]

MINUTE = 60 * SECOND

#: From when, inclusive, to when, exclusive, in minutes of the local day; over midnight where the second is the lesser.
QuietHours = tuple[int, int]

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()
_MICROSECOND = timedelta(microseconds=1)
#: Local and UTC days differ by one at most, the quiet hours of a day end on the next, and a zone may skip a day.
_DAYS = 3


def length_of(quiet: QuietHours) -> int:
    """How long quiet hours last, in microseconds, where no clock is changed."""
    begin, end = quiet
    return (end - begin) * MINUTE % DAY


def first_outside(quiet: QuietHours, zone: str, now: int) -> int:
    """The first time at or after `now` (microseconds UTC) that is outside quiet hours; an unknown zone means UTC.

    Each local day has its own, from one instant to another: a local time that a clock change skips moves forward by the
    gap, and one that comes twice means the first (RFC 5545).
    """
    begin, end = quiet
    today = now // DAY + _EPOCH_DAY
    for day in range(max(1, today - _DAYS), min(_LAST_DAY, today + _DAYS)):
        if _instant(day, begin, zone) > now:
            break
        now = max(now, _instant(day + (end < begin), end, zone))
    return now


@lru_cache(maxsize=4096)
def _instant(day: int, minute: int, zone: str) -> int:
    """A minute of a local day (a proleptic Gregorian ordinal) as microseconds UTC."""
    local = datetime.combine(date.fromordinal(day), datetime.min.time(), _zone(zone)) + timedelta(minutes=minute)
    offset = local.utcoffset() or timedelta()
    return (day - _EPOCH_DAY) * DAY + minute * MINUTE - offset // _MICROSECOND


def _zone(name: str) -> ZoneInfo | timezone:
    return ZoneInfo(name) if known_zone(name) else UTC
