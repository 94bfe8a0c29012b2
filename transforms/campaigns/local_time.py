"""Times of a local day: what the wall clock of a zone shows, and when it shows a time next."""

from datetime import UTC, datetime, timedelta

from transforms.segments.values import DAY, FIRST_DAY, LAST_DAY, MINUTE, instant_of, known_or_utc

__all__ = ["local_of", "next_time_of_day"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def local_of(now: int, zone: str) -> int:
    """What the wall clock of a zone shows at an instant, both in microseconds since 1970; see `instant_of`."""
    within = min(max(now, (FIRST_DAY + 2) * DAY), (LAST_DAY - 2) * DAY)  # a zone's own date must be one, too
    moment = (_EPOCH + timedelta(microseconds=within)).astimezone(known_or_utc(zone))
    return now + (moment.utcoffset() or timedelta()) // _MICROSECOND


def next_time_of_day(minute: int, zone: str, now: int) -> int:
    """The first instant at or after `now` (microseconds UTC) at which it is that minute of the day in the zone."""
    day = local_of(now, zone) // DAY - 1  # the day before: a clock change may move its time behind midnight
    while (found := instant_of(day * DAY + minute * MINUTE, zone)) < now:
        day += 1
    return found
