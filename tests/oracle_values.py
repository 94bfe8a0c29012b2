"""The oracle's values: paths, comparisons, times and durations. It imports nothing of what it is held against."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import re2

__all__ = ["COMPARE", "EPOCH", "duration", "instant", "kind", "walk"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def walk(value: Any, path: str) -> list[Any]:
    """What stands at a path such as `products[].category`: any number of values, never null."""
    values = [value]
    for step in path.split("."):
        key, brackets, _ = step.partition("[]")
        values = [item[key] for item in values if isinstance(item, dict) and key in item]
        if brackets:
            values = [element for item in values if isinstance(item, list) for element in item]
    return [item for item in values if item is not None]


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "nothing that compares"


def alike(value: Any, other: Any) -> bool:
    return kind(value) == kind(other) != "nothing that compares"


def ordered(value: Any, other: Any) -> bool:
    return alike(value, other) and kind(value) != "boolean"


def texts(value: Any, other: Any) -> bool:
    return kind(value) == kind(other) == "text"


def equal(value: Any, other: Any) -> bool:
    return alike(value, other) and bool(value == other)


def contains(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return any(equal(element, part) for element in value)
    return texts(value, part) and part in value


def versions(*values: Any) -> bool:
    return all(kind(value) == "text" and re.fullmatch(r"[0-9]+([.][0-9]+)*", value) for value in values)


def parts(version: str) -> list[int]:
    """The numbers of a version; 2 is 2.0.0."""
    return [int(part) for part in re.sub(r"([.]0+)+$", "", version).split(".")]


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "is": equal,
    "is_not": lambda value, other: alike(value, other) and value != other,
    "in": lambda value, others: any(equal(value, other) for other in others),
    "not_in": lambda value, others: (
        any(alike(value, other) for other in others) and not any(equal(value, other) for other in others)
    ),
    "at_least": lambda value, least: ordered(value, least) and value >= least,
    "at_most": lambda value, most: ordered(value, most) and value <= most,
    "more_than": lambda value, limit: ordered(value, limit) and value > limit,
    "less_than": lambda value, limit: ordered(value, limit) and value < limit,
    "between": lambda value, ends: ordered(value, ends[0]) and ordered(value, ends[1]) and ends[0] <= value <= ends[1],
    "contains": contains,
    "starts_with": lambda value, start: texts(value, start) and value.startswith(start),
    "ends_with": lambda value, end: texts(value, end) and value.endswith(end),
    "version_at_least": lambda value, least: versions(value, least) and parts(value) >= parts(least),
    "version_less_than": lambda value, limit: versions(value, limit) and parts(value) < parts(limit),
    "matches": lambda value, pattern: texts(value, pattern) and re2.search(pattern, value) is not None,
}


def instant(value: Any, zone: ZoneInfo | None = None) -> int | None:
    """The microseconds since the epoch of ISO 8601 text with a zone or, where `zone` is given, of a date alone.

    None for anything else. Of a midnight that a zone skips or has twice, `fold=0` gives what RFC 5545 says.
    """
    if not isinstance(value, str):
        return None
    date = zone is not None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    clock = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?"
    if not date and not re.fullmatch(
        rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{clock}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)", value
    ):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # for example a thirteenth month
        return None
    if date:
        moment = moment.replace(tzinfo=zone)
    return (moment - EPOCH) // timedelta(microseconds=1)


def duration(text: str) -> int:
    """The microseconds of a duration such as `15m`; a day is 24 hours. Raises `ValueError` for other texts."""
    if not re.fullmatch(r"[0-9]+[smhdw]", text):
        raise ValueError(f"not a duration: {text}")
    return int(text[:-1]) * UNITS[text[-1]]
