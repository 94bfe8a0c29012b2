"""Rows of Parquet files as JSON, as they would be on the wire."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.types as kinds
from pyarrow.compute import list_value_length

from transforms.events.times import FIRST_TIME, LAST_TIME, write_time

__all__ = ["payloads", "with_zones"]

#: Columns that may hold an object or the JSON text of one.
OBJECTS = ("properties", "traits", "context", "integrations")

_JSON = msgspec.json.Encoder(decimal_format="number")
_DAY = 86_400_000_000
#: After so many microseconds the calendar repeats itself: 400 years.
_CYCLE = 146_097 * _DAY
#: How many of each of Arrow's units make a second.
_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_NARROW = 32
_LISTS = {pa.list_(pa.null()).id: pa.list_, pa.large_list(pa.null()).id: pa.large_list}


def payloads(batch: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    """The rows of a batch, each as a JSON object: nulls, NaN and infinite numbers are left out, times are ISO 8601.

    No row can fail another. Times keep microseconds. What JSON, or the wire, cannot express is written anyway, and
    refused when it is decoded: a time without a zone or outside the years 1 to 9999, text that is not UTF-8, an integer
    beyond 64 bits. Bytes are text where they are UTF-8, else base64; durations are seconds. Text in `OBJECTS` is taken
    as JSON; text that is no JSON stays text, and is refused likewise.
    """
    names = batch.schema.names
    columns = [_chunks(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        message = _present(zip(names, row, strict=True))
        for name in OBJECTS:
            if isinstance(text := message.get(name), str):
                message[name] = _parsed(text)
        yield _JSON.encode(message)


def _values(column: pa.Array) -> list[Any]:
    """The values of a column as Python objects for the wire: None, booleans, numbers, texts, lists and dictionaries."""
    for has_kind, values in _KINDS:
        if has_kind(column.type):
            return values(column)
    return column.to_pylist()  # type: ignore[no-any-return]


def with_zones(schema: pa.Schema, leaves: Iterable[str]) -> pa.Schema:
    """The schema with times that are kept as INT96 in UTC, as their writers mean them (Spark, Hive, Arrow).

    Args:
      schema: Arrow's schema of a file, in which such times have no zone.
      leaves: the physical types of the file's leaves, in their order.
    """
    each = iter(leaves)
    return pa.schema([field.with_type(_with_zones(field.type, each)) for field in schema])


def _with_zones(kind: pa.DataType, leaves: Iterator[str]) -> pa.DataType:
    if kinds.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return pa.struct([field.with_type(_with_zones(field.type, leaves)) for field in fields])
    if kinds.is_map(kind):
        return pa.map_(_with_zones(kind.key_type, leaves), _with_zones(kind.item_type, leaves))
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        field = kind.value_field.with_type(_with_zones(kind.value_type, leaves))
        return pa.list_(field, kind.list_size) if kinds.is_fixed_size_list(kind) else _LISTS[kind.id](field)
    return pa.timestamp(kind.unit, "UTC") if next(leaves) == "INT96" else kind


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    if isinstance(column, pa.Array):
        return _values(column)
    return [value for chunk in column.chunks for value in _values(chunk)]


def _extended(column: pa.ExtensionArray) -> list[Any]:
    if column.type.extension_name == "arrow.uuid":
        return [None if value is None else str(UUID(bytes=value)) for value in column.storage.to_pylist()]
    return _values(column.storage)


def _structs(column: pa.StructArray) -> list[Any]:
    names = [column.type.field(number).name for number in range(column.type.num_fields)]
    rows = zip(*map(_values, column.flatten()), strict=True) if names else iter([()] * len(column))
    return [
        _present(zip(names, row, strict=True)) if there else None
        for there, row in zip(column.is_valid().to_pylist(), rows, strict=True)
    ]


def _maps(column: pa.MapArray) -> list[Any]:
    """Of two entries with one key the later counts; a key that is no text becomes text."""
    keys = [_key(key) for key in _values(column.keys)]
    items = _values(column.items)
    ends = column.offsets.to_pylist()
    return [
        _present(zip(keys[start:end], items[start:end], strict=True)) if there else None
        for there, start, end in zip(column.is_valid().to_pylist(), ends, ends[1:], strict=False)
    ]


def _key(key: Any) -> str:
    return bytes(key).decode(errors="replace") if isinstance(key, msgspec.Raw) else str(key)


def _present(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _lists(column: pa.ListArray) -> list[Any]:
    flat = iter(_values(column.flatten()))
    return [None if length is None else [*islice(flat, length)] for length in list_value_length(column).to_pylist()]


def _temporal(column: pa.Array) -> list[Any]:
    """By integers, since Python has neither nanoseconds nor years beyond 9999."""
    kind = column.type
    width = pa.int32() if kind.bit_width == _NARROW else pa.int64()
    write = _writer(kind)
    return [None if value is None else write(value) for value in column.cast(width).to_pylist()]


def _writer(kind: pa.DataType) -> Callable[[int], Any]:
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
    text = write_time(within)
    return f"{int(text[:4]) + 400 * cycles:+06}{text[4:]}"


def _texts(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [None if value is None else _text(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _text(data: bytes) -> str | msgspec.Raw:
    """Text, or for bytes that are no text, a raw JSON string of them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        quoted = json.dumps(data.decode(errors="surrogateescape"), ensure_ascii=False)
        return msgspec.Raw(quoted.encode(errors="surrogateescape"))


def _bytes(column: pa.Array) -> list[Any]:
    return [None if value is None else _text_or_base64(value) for value in column.to_pylist()]


def _text_or_base64(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return b64encode(data).decode()


def _parsed(text: str) -> Any:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())


def _floats(column: pa.Array) -> list[Any]:
    return [float(value) if value is not None and isfinite(value) else None for value in column.to_pylist()]


def _dictionaries(column: pa.DictionaryArray) -> list[Any]:
    known = _values(column.dictionary)
    return [None if index is None else known[index] for index in column.indices.to_pylist()]


def _is(*tests: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    return lambda kind: any(test(kind) for test in tests)


#: Readers of columns by kind; for all other kinds Arrow's own values are right.
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], list[Any]]], ...] = (
    (_is(kinds.is_string, kinds.is_large_string), _texts),
    (_is(kinds.is_floating), _floats),
    (_is(kinds.is_date, kinds.is_time, kinds.is_timestamp, kinds.is_duration), _temporal),
    (_is(kinds.is_struct), _structs),
    (_is(kinds.is_map), _maps),
    (_is(kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list), _lists),
    (_is(kinds.is_dictionary), _dictionaries),
    (_is(kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary, kinds.is_binary_view), _bytes),
    (_is(lambda kind: isinstance(kind, pa.BaseExtensionType)), _extended),
)
