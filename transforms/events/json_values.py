"""Values of tables as JSON, as they would be on the wire: for all kinds of files the same."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.types as kinds

from transforms.events.times import FIRST_TIME, LAST_TIME, write_time

__all__ = ["encode_row", "present", "text", "text_or_base64", "time_writer"]

#: Columns that may hold an object or the JSON text of one.
OBJECTS = ("properties", "traits", "context", "integrations")

_encode = msgspec.json.Encoder(decimal_format="number").encode
_DAY = 86_400_000_000
#: After so many microseconds the calendar repeats itself: 400 years.
_CYCLE = 146_097 * _DAY
#: How many of each of Arrow's units make a second.
_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def encode_row(row: dict[str, Any]) -> bytes:
    """A row as a JSON object. Text in `OBJECTS` is taken as JSON; what is no JSON stays text, and is refused later."""
    for name in OBJECTS:
        if isinstance(said := row.get(name), str):
            row[name] = _parsed(said)
    return _encode(row)


def present(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object without what is null."""
    return {name: value for name, value in pairs if value is not None}


def time_writer(kind: pa.DataType) -> Callable[[int], Any]:
    """What writes a date, a time, a time of day or a duration that is an integer of Arrow's kind.

    By integers, since Python has neither nanoseconds nor years beyond 9999.
    """
    if kinds.is_date(kind):
        a_day = 86_400_000 if kinds.is_date64(kind) else 1
        return lambda value: _time_text(value // a_day * _DAY).partition("T")[0]
    unit = kind.unit
    if kinds.is_timestamp(kind):
        end = None if kind.tz else -1  # without the Z
        return lambda value: _time_text(_microseconds(value, unit))[:end]
    if kinds.is_time(kind):
        return lambda value: _time_text(_microseconds(value, unit)).partition("T")[2][:-1]
    return lambda value: _seconds(value, _A_SECOND[unit])


def _microseconds(value: int, unit: str) -> int:
    return value // 1_000 if unit == "ns" else value * (1_000_000 // _A_SECOND[unit])


def _seconds(value: int, a_second: int) -> float:
    return value / a_second if value % a_second else value // a_second


def _time_text(time: int) -> str:
    """ISO 8601; outside the years that a message may have, with a sign and more digits."""
    if FIRST_TIME <= time <= LAST_TIME:
        return write_time(time)
    cycles, within = divmod(time, _CYCLE)
    said = write_time(within)
    return f"{int(said[:4]) + 400 * cycles:+06}{said[4:]}"


def text(data: bytes) -> str | msgspec.Raw:
    """Text, or for bytes that are no text, a raw JSON string of them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        quoted = json.dumps(data.decode(errors="surrogateescape"), ensure_ascii=False)
        return msgspec.Raw(quoted.encode(errors="surrogateescape"))


def text_or_base64(data: bytes) -> str:
    """Bytes as text: in UTF-8 where they are that."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return b64encode(data).decode()


def _parsed(said: str) -> Any:
    try:
        msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        return said
    return msgspec.Raw(said.encode())
