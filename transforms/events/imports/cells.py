"""Cells of a table as values: of text, or of what Parquet and JSON have already made of it."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from transforms.events.plain import quoted
from transforms.events.times import FIRST_TIME, LAST_TIME, read_time, write_time

__all__ = ["READERS", "is_empty", "read_moment"]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: Where a comma stands before the fraction, points stand between thousands alone: 12.50 is written otherwise.
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?")
_WORDS = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_WORDS |= {"false": False, "f": False, "no": False, "n": False, "0": False}
#: How many of each make a second, where a time is a number since 1970.
_UNIX = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000}
#: What `%Z` may name. strptime passes over the name, and knows besides those of whatever machine it is on.
_NAMED_ZONES = ("UTC", "GMT")
#: Where spreadsheets count days from, and the last that they know.
_EXCEL, _EXCEL_DAY = datetime(1899, 12, 30), 2_958_465  # noqa: DTZ001 - the zone comes later


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _text(cell: Any, _: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str | int | float):
        return str(cell)
    return msgspec.json.encode(cell).decode()


def _integer(cell: Any, _: Any) -> int:
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and _INTEGER.fullmatch(cell.strip()):
        return int(cell)
    raise ValueError(f"expected an integer; found {quoted(cell)}")


def _number(cell: Any, asked: Any) -> float | int:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, str):
        said = cell.strip() if asked.decimal == "." else _with_point(cell.strip())
        if _INTEGER.fullmatch(said):
            return int(said)
        if _NUMBER.fullmatch(said) and abs(found := float(said)) < float("inf"):
            return found
    raise ValueError(f"expected a number; found {quoted(cell)}")


def _with_point(said: str) -> str:
    """A number that is written with a comma, with a point; empty where its points are not between thousands."""
    if "." in said and not _THOUSANDS.fullmatch(said):
        return ""
    return said.replace(".", "").replace(",", ".")


def _boolean(cell: Any, _: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    said = _WORDS.get(str(cell).strip().lower()) if isinstance(cell, str | int) else None
    if said is None:
        raise ValueError(f"expected true or false, yes or no, 1 or 0; found {quoted(cell)}")
    return said


def _time(cell: Any, asked: Any) -> str:
    return write_time(read_moment(cell, asked.format, asked.zone))


def _date(cell: Any, asked: Any) -> str:
    if asked.format == "excel":
        return _of_spreadsheet(cell).date().isoformat()
    said = cell.strip() if isinstance(cell, str) else cell
    if not isinstance(said, str):
        raise ValueError(f"expected a date; found {quoted(cell)}")
    try:
        found = _read(said, asked.format)
    except (ValueError, re.error):
        raise ValueError(f"expected a date like {quoted(asked.format or '2026-03-10')}; found {quoted(cell)}") from None
    return found.date().isoformat()


def _read(text: str, form: str | None) -> datetime:
    if not form:
        return datetime.fromisoformat(text)
    if "%Z" not in form:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes later
    for name in _NAMED_ZONES:
        with suppress(ValueError):
            found = datetime.strptime(text, form.replace("%Z", name))  # noqa: DTZ007 - this is the zone
            return found.replace(tzinfo=found.tzinfo or UTC)
    raise ValueError(f"no zone that is known: {', '.join(_NAMED_ZONES)}")


def _json(cell: Any, _: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    try:
        return msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"expected JSON; found {quoted(cell)}: {error}") from None


def _list(cell: Any, asked: Any) -> list[Any]:
    if isinstance(cell, list):
        return cell
    if isinstance(cell, dict):
        raise ValueError(f"expected a list; found {quoted(cell)}")
    return [each.strip() for each in str(cell).split(asked.separator) if each.strip()]


#: How a cell is read, by the type that a mapping names; each takes the cell and what is asked of the column.
READERS: dict[str, Callable[[Any, Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "time": _time,
    "date": _date,
    "json": _json,
    "list": _list,
}


def read_moment(cell: Any, form: str | None, zone: str | None) -> int:
    """A time in microseconds UTC. What names no zone itself is of `zone`.

    It is ISO 8601, a number since 1970 (`unix`, `unix_ms`, `unix_us`), a spreadsheet's number of days (`excel`), or in
    a form of strptime.

    Raises:
      ValueError: it is none, or nobody says of which zone.
    """
    if form in _UNIX:
        return _since_1970(cell, _UNIX[form])
    if form == "excel":
        moment = _of_spreadsheet(cell)
    elif isinstance(cell, str):
        moment = _of_text(cell, form)
    else:
        raise ValueError(f"expected a time; found {quoted(cell)}")
    if moment.tzinfo is not None and form is None:
        return read_time(str(cell).strip())
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError(f"{quoted(cell)} has no zone: name it in the mapping, as `zone: UTC`")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    try:
        return read_time(moment.astimezone(UTC).isoformat())
    except OverflowError:
        raise ValueError(f"outside the years 1 to 9999, UTC: {quoted(cell)}") from None


def _of_text(cell: str, form: str | None) -> datetime:
    try:
        return _read(cell.strip(), form)
    except (ValueError, re.error):
        raise ValueError(
            f"expected a time like {quoted(form or '2026-03-10T12:00:00Z')}; found {quoted(cell)}"
        ) from None


def _of_spreadsheet(cell: Any) -> datetime:
    """The time of a number of days, to the millisecond: more digits than that nobody has typed."""
    said = str(cell).strip().replace(",", ".") if isinstance(cell, str | int | float) else ""
    if not _NUMBER.fullmatch(said) or not 0 <= (days := float(said)) <= _EXCEL_DAY:
        raise ValueError(f"expected a number of days since 1899-12-30, as spreadsheets have; found {quoted(cell)}")
    return _EXCEL + timedelta(milliseconds=round(days * 86_400_000))


def _since_1970(cell: Any, a_second: int) -> int:
    said = str(cell).strip() if isinstance(cell, str | int | float) and not isinstance(cell, bool) else ""
    if not _NUMBER.fullmatch(said):
        raise ValueError(f"expected a number of seconds and the like since 1970; found {quoted(cell)}")
    if _INTEGER.fullmatch(said):
        found = int(said) * (1_000_000 // a_second)
    else:
        seconds = float(said) / a_second
        found = round(seconds * 1_000_000) if abs(seconds) < 1e12 else LAST_TIME + 1
    if not FIRST_TIME <= found <= LAST_TIME:
        raise ValueError(f"outside the years 1 to 9999, UTC: {quoted(cell)}")
    return found
