"""Rows of Parquet files as the JSON that they would be on the wire."""

from collections.abc import Iterator
from math import isnan
from typing import Any

import msgspec
import pyarrow as pa

__all__ = ["payloads"]

#: Columns that may hold an object or the JSON text of one.
OBJECTS = ("properties", "traits", "context")

_JSON = msgspec.json.Encoder(decimal_format="number")


def payloads(table: pa.Table) -> Iterator[bytes]:
    """The rows of a table, each as a JSON object: nulls and NaN are left out, times are ISO 8601.

    Times keep microseconds; one without a zone stays without it, and is refused when it is decoded. Text in
    `properties`, `traits` and `context` is taken as JSON; where it is not, it stays text, and is refused likewise.
    """
    for row in _microseconds(table).to_pylist(maps_as_pydicts="lossy"):
        message = _present(row)
        for name in OBJECTS:
            if isinstance(text := message.get(name), str | bytes):
                message[name] = _parsed(text)
        yield _JSON.encode(message)


def _microseconds(table: pa.Table) -> pa.Table:
    """Python's times end at microseconds."""
    fields = [
        field.with_type(pa.timestamp("us", field.type.tz)) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields), safe=False)


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _present(inner) for key, inner in value.items() if not _missing(inner)}
    if isinstance(value, list):
        return [_present(inner) for inner in value]
    return value


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and isnan(value))


def _parsed(text: str | bytes) -> Any:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    return msgspec.Raw(text if isinstance(text, bytes) else text.encode())
