"""Quiet hours: the nights of a user's local clock in which nothing is sent."""

from transforms.segments.values import DAY, FIRST_DAY, LAST_DAY, MINUTE, instant_of

__all__ = ["QuietHours", "first_outside", "length_of"]

#: From when, inclusive, to when, exclusive, in minutes of the local day; over midnight where the second is the lesser.
QuietHours = tuple[int, int]

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
    today = now // DAY
    for day in range(max(FIRST_DAY, today - _DAYS), min(LAST_DAY, today + _DAYS)):
        if instant_of(day * DAY + begin * MINUTE, zone) > now:
            break
        now = max(now, instant_of((day + (end < begin)) * DAY + end * MINUTE, zone))
    return now
