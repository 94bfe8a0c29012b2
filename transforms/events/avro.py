"""Rows of Avro files as JSON, as they would be on the wire: the same as those of Parquet.

The container is read here (avro.apache.org/docs/1.12.0/specification, "Object Container Files"), since fastavro has no
snappy without a further library; the records are read by fastavro. Logical types become kinds of our own, which write
what `json_values` writes of Arrow's: no value can fail another, as Python's times would in the year 10000.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from io import SEEK_CUR, BytesIO
from math import isfinite
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
import pyarrow as pa
from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException

from transforms.events.json_values import encode_row, present, text, text_or_base64, time_writer
from transforms.events.pieces import SHORTER, WHOLE, FilePiece

__all__ = ["UnreadableAvro", "columns_of_avro", "rows_of_avro"]

_MAGIC, _SYNC_BYTES = b"Obj\x01", 16
_HEADER = parse_schema({"type": "map", "values": "bytes"})
#: Writers keep blocks below some MB; a larger number is damage, and would fill memory.
_LONGEST_BLOCK = 1 << 30
#: No code of snappy makes more of a byte.
_SNAPPY_AT_MOST = 64
#: How much is read at once where a mark is looked for.
_CHUNK = 1 << 16
_PREFIX = "todoke-"
_UUID_BYTES = 16
#: What is kept of simple schemas: all that says how their values are read.
_KEPT = ("type", "name", "size", "symbols", "precision", "scale")
#: Makes a value for the wire of what was written, and of its schema.
ValueReader = Callable[[Any, Mapping[str, Any]], Any]


class UnreadableAvro(OSError):
    """What is no whole Avro file of rows; the message says why."""


def rows_of_avro(file: BinaryIO, piece: FilePiece = WHOLE) -> Iterator[bytes]:
    """The rows of a piece of an open, seekable file as JSON objects; see `arrow.payloads` for what becomes of values.

    Raises:
      UnreadableAvro: the file is damaged, cut off, or has no rows.
    """
    head = _Head(file)
    read = head.schema
    for count, data in _blocks(file, head, piece):
        block = BytesIO(data)
        try:
            for _ in range(count):
                yield _payload(schemaless_reader(block, read, None, handle_unicode_errors="surrogateescape"))
        except _DAMAGE as error:
            raise UnreadableAvro(f"a record is damaged: {error or type(error).__name__}") from error
        if block.tell() != len(data):
            raise UnreadableAvro("a block has more bytes than its records")


def columns_of_avro(file: BinaryIO) -> list[str]:
    """The names of the columns of an open file.

    Raises:
      UnreadableAvro: see `rows_of_avro`.
    """
    fields: list[dict[str, Any]] = _Head(file).schema["fields"]
    return [field["name"] for field in fields]


#: What fastavro raises of bytes that are no record.
_DAMAGE = (ArithmeticError, EOFError, LookupError, TypeError, ValueError, MemoryError, RecursionError)


class _Head:
    """The beginning of a file: how its records are read, how its blocks are packed, and what stands between them."""

    def __init__(self, file: BinaryIO) -> None:
        magic = file.read(len(_MAGIC))
        if magic != _MAGIC:
            raise UnreadableAvro("it does not begin as an Avro file does")
        try:
            said: dict[str, bytes] = schemaless_reader(file, _HEADER, None)  # type: ignore[assignment]
            schema = msgspec.json.decode(said["avro.schema"])
            codec = said.get("avro.codec", b"null").decode()
            parsed = parse_schema(_Kinds().of(parse_schema(schema)))
        except (*_DAMAGE, SchemaParseException, msgspec.DecodeError) as error:
            raise UnreadableAvro(f"its head is damaged: {error or type(error).__name__}") from error
        if not isinstance(parsed, dict) or parsed.get("type") != "record":
            raise UnreadableAvro("its rows are no records")
        self.schema: dict[str, Any] = parsed
        if codec not in _UNPACKED:
            raise UnreadableAvro(f"its codec is {codec}; known are {', '.join(_UNPACKED)}")
        self.unpacked = _UNPACKED[codec]
        self.sync = _bytes(file, _SYNC_BYTES)


class _Kinds:
    """Schemas whose values fastavro gives as they are written, by readers of ours."""

    def __init__(self) -> None:
        self._open: list[str] = []

    def of(self, schema: Any) -> Any:
        """The same schema with the names of our readers in place of logical types.

        Raises:
          UnreadableAvro: a record is inside itself: columns have an end.
        """
        if isinstance(schema, list):
            return [self.of(each) for each in schema]
        if isinstance(schema, str):
            if schema in self._open:
                raise UnreadableAvro(f"records of {schema} are inside themselves")
            return _named({"type": schema}) if (schema, "plain") in _KNOWN else schema
        match schema["type"]:
            case "record" | "error":
                self._open.append(schema["name"])
                fields = [{"name": field["name"], "type": self.of(field["type"])} for field in schema["fields"]]
                self._open.pop()
                return {"type": "record", "name": schema["name"], "fields": fields}
            case "array":
                return {"type": "array", "items": self.of(schema["items"])}
            case "map":
                return {"type": "map", "values": self.of(schema["values"])}
            case str():
                return _named(schema)
            case nested:
                return self.of(nested)


def _named(schema: Mapping[str, Any]) -> Any:
    """A simple schema with the name of its reader."""
    base, logical = schema["type"], schema.get("logicalType")
    kind = logical if (base, logical) in _KNOWN else "plain"
    kept = {key: schema[key] for key in _KEPT if key in schema}
    return kept | {"logicalType": f"{_PREFIX}{kind}"} if (base, kind) in _KNOWN else kept


def _decimal(data: bytes, schema: Mapping[str, Any]) -> Decimal:
    digits = Context(prec=max(1, 3 * len(data)))
    return digits.scaleb(Decimal(int.from_bytes(data, "big", signed=True)), -int(schema.get("scale", 0)))


def _time(kind: pa.DataType) -> ValueReader:
    write = time_writer(kind)
    return lambda value, _: write(value)


def _plain_bytes(value: bytes, _: Any) -> str:
    return text_or_base64(value)


def _uuid(value: bytes, _: Any) -> str:
    return str(UUID(bytes=value)) if len(value) == _UUID_BYTES else text_or_base64(value)


def _finite(value: float, _: Any) -> float | None:
    return value if isfinite(value) else None


#: Readers by the type that is written and the logical type; `plain` is none, or one that is not known.
_KNOWN: dict[tuple[str, str], ValueReader] = {
    ("int", "date"): _time(pa.date32()),
    ("int", "time-millis"): _time(pa.time32("ms")),
    ("long", "time-micros"): _time(pa.time64("us")),
    ("long", "timestamp-millis"): _time(pa.timestamp("ms", "UTC")),
    ("long", "timestamp-micros"): _time(pa.timestamp("us", "UTC")),
    ("long", "timestamp-nanos"): _time(pa.timestamp("ns", "UTC")),
    ("long", "local-timestamp-millis"): _time(pa.timestamp("ms")),
    ("long", "local-timestamp-micros"): _time(pa.timestamp("us")),
    ("long", "local-timestamp-nanos"): _time(pa.timestamp("ns")),
    ("bytes", "decimal"): _decimal,
    ("fixed", "decimal"): _decimal,
    ("fixed", "uuid"): _uuid,
    ("bytes", "plain"): _plain_bytes,
    ("fixed", "plain"): _plain_bytes,
    ("float", "plain"): _finite,
    ("double", "plain"): _finite,
}


def _register(base: str, kind: str, read: ValueReader) -> None:
    """Under a name that nobody else has: fastavro has one table for all of a process."""

    def reader(value: Any, schema: dict[Any, Any] | None, _: dict[Any, Any] | None = None) -> Any:
        return read(value, schema or {})

    LOGICAL_READERS[f"{base}-{_PREFIX}{kind}"] = reader


for (_base, _kind), _read in _KNOWN.items():
    _register(_base, _kind, _read)


def _payload(record: Any) -> bytes:
    row = _cleaned(record)
    try:
        return encode_row(row)
    except UnicodeEncodeError:  # bytes that are no text
        return encode_row(_raw(row))


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return present((name, _cleaned(inner)) for name, inner in value.items())
    return [_cleaned(inner) for inner in value] if isinstance(value, list) else value


def _raw(value: Any) -> Any:
    """The same with what `text` makes of text that stands for bytes."""
    if isinstance(value, str):
        return text(value.encode(errors="surrogateescape"))
    if isinstance(value, dict):
        return {_key(name): _raw(inner) for name, inner in value.items()}
    return [_raw(inner) for inner in value] if isinstance(value, list) else value


def _key(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _blocks(file: BinaryIO, head: _Head, piece: FilePiece) -> Iterator[tuple[int, bytes]]:
    """How many records each block of a piece has, and their bytes."""
    start, stop = piece
    if file.tell() - _SYNC_BYTES < start:
        _seek_mark(file, head.sync, start)
    while file.tell() - _SYNC_BYTES < stop and (count := _number(file)) is not None:
        size = _number(file)
        if size is None:
            raise UnreadableAvro("is cut off: fetch or write it anew")
        if count < 0 or not 0 <= size <= _LONGEST_BLOCK:
            raise UnreadableAvro("a block is damaged: its size cannot be")
        packed = _bytes(file, size)
        if _bytes(file, _SYNC_BYTES) != head.sync:
            raise UnreadableAvro("a block is damaged: it does not end with the mark of the file")
        try:
            data = head.unpacked(packed)
        except (ValueError, EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise UnreadableAvro(f"a block is damaged: {error}") from error
        if count > len(data):  # a record of nulls has no bytes: so many of them that nobody would end
            raise UnreadableAvro("a block is damaged: it has fewer bytes than records")
        yield count, data
    if piece != WHOLE and file.tell() < stop:
        raise UnreadableAvro(SHORTER)


def _seek_mark(file: BinaryIO, mark: bytes, start: int) -> None:
    """Go behind the first mark that begins at a place or after it; to the end where there is none."""
    file.seek(start)
    held = b""
    while chunk := file.read(_CHUNK):
        held += chunk
        if (found := held.find(mark)) >= 0:
            file.seek(found + len(mark) - len(held), SEEK_CUR)
            return
        held = held[1 - len(mark) :]


def _bytes(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise UnreadableAvro("is cut off: fetch or write it anew")
    return data


def _number(file: BinaryIO) -> int | None:
    """An integer of variable length; None at the end of the file."""
    found = shift = 0
    while byte := file.read(1):
        found |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (found >> 1) ^ -(found & 1)
        shift += 7
        if shift > 63:
            raise UnreadableAvro("a block is damaged: a number has no end")
    if shift:
        raise UnreadableAvro("is cut off: fetch or write it anew")
    return None


def _inflated(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    found = unpacking.decompress(data)
    if not unpacking.eof:
        raise ValueError("the data end too early")
    return found


def _unsnapped(data: bytes) -> bytes:
    """Raw snappy, which begins with the size of what it holds, and four bytes of a checksum."""
    packed, summed = data[:-4], data[-4:]
    size = shift = 0
    for byte in packed[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > _SNAPPY_AT_MOST * len(packed):
        raise ValueError("its size cannot be")
    found: bytes = pa.Codec("snappy").decompress(packed, size, asbytes=True)
    if zlib.crc32(found).to_bytes(4, "big") != summed:
        raise ValueError("its checksum is another")
    return found


def _unstandard(data: bytes) -> bytes:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()  # type: ignore[no-any-return]


_UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _inflated,
    "snappy": _unsnapped,
    "zstandard": _unstandard,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}
