"""Values of the definition language: durations, times, paths into data, and comparison without surprises.

Times are integer microseconds since the Unix epoch, UTC; durations are integer microseconds.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from math import isfinite
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo

from transforms.events.plain import quoted
from transforms.events.times import read_time
from transforms.identity.zones import known_zone

__all__ = [
    "DATE_FORM",
    "DAY",
    "DURATION_FORM",
    "FIRST_DAY",
    "HOUR",
    "LAST_DAY",
    "MINUTE",
    "PATH_FORM",
    "SECOND",
    "TIME_FORM",
    "Path",
    "compile_inner",
    "compile_path",
    "duration",
    "equal",
    "instant",
    "instant_of",
    "is_duration",
    "is_number",
    "known_or_utc",
    "local_day",
    "start_of_day",
    "written_time",
]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
_EPOCH_DAY = _EPOCH.toordinal()
#: Calendars have these days, counted from 1970.
FIRST_DAY, LAST_DAY = 1 - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY
_MICROSECOND = timedelta(microseconds=1)
#: No duration that anybody means is longer.
_USUAL = 64
#: The forms of durations and paths.
DURATION_FORM = r"([0-9]{1,9})([smhdw])"
#: A name in a path: words without blanks, dots, brackets, quotes and signs of arithmetic and logic, with single hyphens
#: and blanks between. It is also a pattern of JSON Schema, whose `\w` knows ASCII alone.
_WORD = r"[^\s\x00-\x1f\x7f.\[\](){}<>=!*+/%&|^~,;?#'\"`\\-]+"
_NAME_FORM = rf"{_WORD}([ -]{_WORD})*"
_STEP_FORM = rf"{_NAME_FORM}(\[\])?"
PATH_FORM = rf"{_STEP_FORM}(\.{_STEP_FORM})*"
#: The forms of a date, and of a time with a zone. Not every such text is valid: there is no 30 February.
DATE_FORM = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE_FORM = r"(Z|[+-][0-9]{2}(:?[0-9]{2}){0,2}([.][0-9]+)?)"
TIME_FORM = rf"{DATE_FORM}T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]+)?)?{_ZONE_FORM}"

_SPELLED = re.compile(
    r"P?T?([0-9]{1,9})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)", re.IGNORECASE
)
_DURATION, _PATH, _DATE = re.compile(DURATION_FORM), re.compile(PATH_FORM), re.compile(DATE_FORM)

#: Gives the values at a path of a mapping: none, one, or with `[]` many. Missing values and nulls are left out.
Path = Callable[[dict[str, Any]], list[Any]]


def duration(text: object) -> int:
    """Read `30s 15m 2h 7d 4w` as microseconds; a day is 24 hours.

    Raises:
      ValueError: the text is no duration; it says what one looks like, also for months and years, whose length is not
        fixed.
    """
    if isinstance(text, str):
        if match := _DURATION.fullmatch(text):
            length = int(match[1]) * _UNITS[match[2]]
            if length <= 0:
                raise ValueError(f"a duration must be longer than zero; found {quoted(text)}")
            if length > 100 * 366 * DAY:
                raise ValueError(f"a duration is at most a hundred years; found {quoted(text)}")
            return length
        if re.fullmatch(r"[0-9]+ ?(mo|M|y|Y|months?|years?)", text):
            raise ValueError(
                f"months and years have no fixed length; write days or weeks, such as 30d or 52w, not {quoted(text)}"
            )
        if spelled := _SPELLED.fullmatch(text.strip()):
            meant = f"{spelled[1]}{spelled[2][0].lower()}"
            raise ValueError(f"expected a duration such as 30s, 15m, 2h, 7d or 4w; found {quoted(text)}; write {meant}")
    raise ValueError(f"expected a duration such as 30s, 15m, 2h, 7d or 4w; found {quoted(text)}")


def written_time(text: str) -> int | date | None:
    """An ISO 8601 time with a zone as microseconds, a date alone as a date, anything else as None."""
    # Users may write texts of any length; long ones are not cached.
    return _known_time(text) if len(text) <= _USUAL else _read_written(text)


def _read_written(text: str) -> int | date | None:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return read_time(text) if _TIME.match(text) else None
    except ValueError:
        return None


_known_time = lru_cache(maxsize=65536)(_read_written)


def instant(value: object, zone: str) -> int | None:
    """The time that a value means for a user in `zone`; None if it means no time."""
    if not isinstance(value, str):
        return None
    moment = written_time(value)
    return start_of_day(moment, zone) if isinstance(moment, date) else moment


def is_duration(text: str) -> bool:
    """Whether a text has the form of a duration."""
    return _DURATION.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def instant_of(local: int, zone: str) -> int:
    """A local time as microseconds UTC; an unknown zone means UTC.

    `local` is microseconds since 1970 as a clock on the wall shows them. A time that a clock change skips moves forward
    by the gap; a time that comes twice means the first (RFC 5545, section 3.3.5).
    """
    moment = _EPOCH + timedelta(microseconds=min(max(local, FIRST_DAY * DAY), LAST_DAY * DAY))
    offset = moment.replace(tzinfo=known_or_utc(zone)).utcoffset() or timedelta()
    # In integers: east of Greenwich the first day of year 1 begins before the first `datetime`.
    return local - offset // _MICROSECOND


def start_of_day(day: date, zone: str) -> int:
    """Midnight of a local day, as `instant_of`."""
    return instant_of((day.toordinal() - _EPOCH_DAY) * DAY, zone)


def local_day(moment: int, zone: str) -> date | None:
    """The local day of a time: the last one that has begun. None outside the years 1 to 9999."""
    today = moment // DAY
    for day in (today + 1, today, today - 1):
        if FIRST_DAY <= day <= LAST_DAY and instant_of(day * DAY, zone) <= moment:
            return date.fromordinal(day + _EPOCH_DAY)
    return None


@lru_cache(maxsize=1024)
def known_or_utc(name: str) -> ZoneInfo | timezone:
    """A zone of the IANA database; UTC for an unknown name."""
    return ZoneInfo(name) if known_zone(name) else UTC


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number: true is not, and neither are infinity and NaN."""
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def equal(left: object, right: object) -> bool:
    """Whether two values are the same: 5 is 5.0, true is not 1, and different types never are."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    return isinstance(left, str) and left == right


@lru_cache(maxsize=65536)
def compile_path(path: str) -> Path:
    """Compile `products[].category`: dots descend, `[]` means any element.

    Raises:
      ValueError: if this is no path.
    """
    steps = [(step.removesuffix("[]"), step.endswith("[]")) for step in path.split(".")]
    if not _PATH.fullmatch(path):
        raise ValueError(
            f"expected a path such as revenue or products[].category, of names, dots and []; found {quoted(path)}"
        )
    if len(steps) == 1 and not steps[0][1]:
        key = steps[0][0]

        def one(data: dict[str, Any]) -> list[Any]:
            value = data.get(key)
            return [] if value is None else [value]

        return one

    def walk(data: dict[str, Any]) -> list[Any]:
        found: list[Any] = [data]
        for key, each in steps:
            found = [item[key] for item in found if isinstance(item, dict) and key in item]
            if each:
                found = [element for item in found if isinstance(item, list) for element in item]
        return [value for value in found if value is not None]

    return walk


def compile_inner(attribute: str, path: str) -> Callable[[Any], list[Any]]:
    """Compile a path that begins with an attribute's name, such as `home.city`, to apply it to the attribute's value.

    Raises:
      ValueError: if this is no path.
    """
    before, dot, base = attribute.rpartition(".")
    find = compile_path(path.removeprefix(before + dot))
    return lambda value: find({base: value})
