"""Times on the wire: ISO 8601 text outside, integer microseconds since the Unix epoch (UTC) inside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from transforms.events.plain import quoted

__all__ = ["FIRST_TIME", "LAST_TIME", "read_time", "time_text", "write_time"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: The first and the last microsecond of the years 1 to 9999, UTC: what Python's datetime can hold.
FIRST_TIME = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LAST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

# datetime.fromisoformat ignores whatever follows the sixth digit of a fraction. Only a text of at least this length can
# hold seven characters there.
_SHORTEST_WITH_SEVEN = 26
_LONG_FRACTION = re.compile(r"[^.,]*[.,][0-9]+(Z|[+-][0-9:.]+)")


def read_time(text: str) -> int:
    """Microseconds of an ISO 8601 time with a zone; digits after the sixth of a fraction are dropped.

    Raises:
      ValueError: it is no such time; the text says what is wrong.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"not an ISO 8601 time: {quoted(text, 64)}") from None
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a zone, such as Z or +09:00: {quoted(text)}")
    if len(text) >= _SHORTEST_WITH_SEVEN and ("." in text or "," in text) and not _LONG_FRACTION.fullmatch(text):
        raise ValueError(f"not an ISO 8601 time: {quoted(text, 64)}")
    since = moment - _EPOCH
    time = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not FIRST_TIME <= time <= LAST_TIME:
        raise ValueError(f"outside the years 1 to 9999, UTC: {quoted(text)}")
    return time


def time_text(time: int) -> str:
    """A time in [FIRST_TIME, LAST_TIME] as ISO 8601 text in UTC, such as `2026-03-10T12:00:00.250000Z`."""
    return (_EPOCH + timedelta(microseconds=time)).replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=65_536)
def write_time(time: int) -> str:
    """The same, of times that come again: 25 MB of them are remembered."""
    return time_text(time)
