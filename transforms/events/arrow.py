"""Rows of Arrow, as Parquet files and BigQuery give them, as JSON, as they would be on the wire."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.types as kinds
from pyarrow.compute import list_value_length

from transforms.events.json_values import encode_row, present, text, text_or_base64, time_writer

__all__ = ["payloads", "with_zones"]

_NARROW = 32
_LISTS = {pa.list_(pa.null()).id: pa.list_, pa.large_list(pa.null()).id: pa.large_list}


def payloads(batch: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    """The rows of a batch, each as a JSON object: nulls, NaN and infinite numbers are left out, times are ISO 8601.

    No row can fail another. Times keep microseconds. What JSON, or the wire, cannot express is written anyway, and
    refused when it is decoded: a time without a zone or outside the years 1 to 9999, text that is not UTF-8, an integer
    beyond 64 bits. Bytes are text where they are UTF-8, else base64; durations are seconds. See `encode_row` for text
    that is the JSON of an object.
    """
    names = batch.schema.names
    columns = [_chunks(column) for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield encode_row(present(zip(names, row, strict=True)))


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
        present(zip(names, row, strict=True)) if there else None
        for there, row in zip(column.is_valid().to_pylist(), rows, strict=True)
    ]


def _maps(column: pa.MapArray) -> list[Any]:
    """Of two entries with one key the later counts; a key that is no text becomes text."""
    keys = [_key(key) for key in _values(column.keys)]
    items = _values(column.items)
    ends = column.offsets.to_pylist()
    return [
        present(zip(keys[start:end], items[start:end], strict=True)) if there else None
        for there, start, end in zip(column.is_valid().to_pylist(), ends, ends[1:], strict=False)
    ]


def _key(key: Any) -> str:
    return bytes(key).decode(errors="replace") if isinstance(key, msgspec.Raw) else str(key)


def _lists(column: pa.ListArray) -> list[Any]:
    flat = iter(_values(column.flatten()))
    return [None if length is None else [*islice(flat, length)] for length in list_value_length(column).to_pylist()]


def _temporal(column: pa.Array) -> list[Any]:
    """By integers, since Python has neither nanoseconds nor years beyond 9999."""
    kind = column.type
    width = pa.int32() if kind.bit_width == _NARROW else pa.int64()
    write = time_writer(kind)
    return [None if value is None else write(value) for value in column.cast(width).to_pylist()]


def _texts(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        return [None if value is None else text(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _bytes(column: pa.Array) -> list[Any]:
    return [None if value is None else text_or_base64(value) for value in column.to_pylist()]


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
