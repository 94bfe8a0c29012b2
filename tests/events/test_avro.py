"""Avro files: the same rows as those of Parquet, to their end or not at all."""

import gzip
import io
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.arrow import payloads
from transforms.events.decode import Cause, Refused, decode
from transforms.events.files import UnreadableFile, messages_of_file
from transforms.events.pieces import pieces_of_file
from transforms.events.sources import Files
from transforms.events.transforms import read_messages

Plain = dict[str, Any]
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
#: fastavro writes these here, polars snappy, and `packed` zstandard.
CODECS = ("null", "deflate", "bzip2", "xz")
SYNC = bytes(range(16))


def avro(fields: Plain, rows: Iterable[Plain], codec: str = "null", **how: Any) -> bytes:
    schema = {
        "type": "record",
        "name": "Row",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }
    written = io.BytesIO()
    fastavro.writer(written, fastavro.parse_schema(schema), rows, codec=codec, **how)
    return written.getvalue()


def packed(content: bytes) -> bytes:
    """The same with blocks in zstandard, as the specification has it."""
    written = io.BytesIO()
    reader = fastavro.block_reader(io.BytesIO(content))
    for block in reader:
        data = pa.Codec("zstd").compress(block.bytes_.getvalue(), asbytes=True)
        written.write(number(block.num_records) + number(len(data)) + data + SYNC)
    return headed(SYNC + written.getvalue(), json.dumps(reader.writer_schema), "zstandard")


def number(value: int) -> bytes:
    written = io.BytesIO()
    fastavro.schemaless_writer(written, {"type": "long"}, value)
    return written.getvalue()


def headed(content: bytes, schema: str, codec: str = "null") -> bytes:
    """The blocks of a file under another head."""
    written = io.BytesIO()
    meta = {"avro.schema": schema.encode(), "avro.codec": codec.encode()}
    fastavro.schemaless_writer(written, {"type": "map", "values": "bytes"}, meta)
    return b"Obj\x01" + written.getvalue() + SYNC + content.split(SYNC, 1)[1]


def logical(kind: str, base: str = "long", **more: Any) -> Plain:
    return {"type": base, "logicalType": kind, **more}


def read(content: bytes, name: str = "e.avro") -> list[bytes]:
    return [*messages_of_file(io.BytesIO(content), name)]


def values(kind: Any, *found: Any) -> list[Any]:
    """What becomes of the values of a column, as JSON; None where it is left out."""
    content = avro({"value": ["null", kind]}, [{"value": each} for each in found])
    return [json.loads(row).get("value") for row in read(content)]


CALLS = {"type": "string", "event": "string", "userId": "string", "properties": {"type": "map", "values": "long"}}
CALLS |= {"timestamp": logical("timestamp-micros")}
ROWS = [
    {"type": "track", "event": "E", "userId": f"u{n}", "timestamp": NOON, "properties": {"n": n}} for n in range(3_000)
]


@pytest.mark.parametrize("codec", [*CODECS, "zstandard"])
def test_rows_of_every_codec_are_calls(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "e.avro"
    path.write_bytes(packed(avro(CALLS, ROWS)) if codec == "zstandard" else avro(CALLS, ROWS, codec))
    events = [decode(payload)[0] for payload in read_messages(Files(str(path)))]
    assert [(event.user, event.properties, event.time) for event in events] == [
        (f"u{n}", {"n": n}, int(NOON.timestamp()) * 1_000_000) for n in range(3_000)
    ]
    zipped = tmp_path / "e.avro.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert [decode(payload)[0].user for payload in read_messages(Files(str(zipped)))] == [
        event.user for event in events
    ]


@pytest.mark.parametrize("codec", ["uncompressed", "deflate", "snappy"])
def test_what_another_program_writes_is_what_its_parquet_says(codec: Any) -> None:
    frame = pl.DataFrame(
        {
            "userId": ["ada", None, "ben"] * 2_000,
            "n": [1, None, -(2**63)] * 2_000,
            "f": [1.5, float("nan"), float("-inf")] * 2_000,
            "at": [NOON.replace(tzinfo=None), None, datetime(1969, 1, 1)] * 2_000,  # noqa: DTZ001 - without a zone
            "day": [date(2026, 3, 10), None, date(1, 1, 1)] * 2_000,
            "list": [["a", None], [], None] * 2_000,
            "bytes": [b"text", b"\xff\x00", None] * 2_000,
            "properties": ['{"a": 1}', "{", None] * 2_000,
        }
    )
    written = io.BytesIO()
    frame.write_avro(written, compression=codec)
    found = [json.loads(row) for row in read(written.getvalue())]
    expected = [json.loads(row) for row in payloads(frame.to_arrow())]
    for row in found:  # polars writes times without a zone as times with one
        row["at"] = row["at"].removesuffix("Z") if "at" in row else None
    assert found == [row | {"at": row.get("at")} for row in expected]


BEYOND = 10**17  # microseconds: after the year 9999
VALUES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "times": (
        logical("timestamp-micros"),
        [NOON, BEYOND * 10, None, -(2**63)],
        ["2026-03-10T12:00:00Z", "+33658-09-27T01:46:40Z", None, "-290308-12-21T19:59:05.224192Z"],
    ),
    "milliseconds": (logical("timestamp-millis"), [1], ["1970-01-01T00:00:00.001000Z"]),
    "nanoseconds": (logical("timestamp-nanos"), [1_999], ["1970-01-01T00:00:00.000001Z"]),
    "times without a zone": (logical("local-timestamp-micros"), [1], ["1970-01-01T00:00:00.000001"]),
    "days": (logical("date", "int"), [date(2026, 3, 10), 2**31 - 1], ["2026-03-10", "+5881580-07-11"]),
    "times of day": (logical("time-micros"), [time(1, 2, 3, 4)], ["01:02:03.000004"]),
    "times of day in milliseconds": (logical("time-millis", "int"), [time(1, 2, 3)], ["01:02:03"]),
    "decimals": (
        logical("decimal", "bytes", precision=38, scale=2),
        [Decimal("1.10"), Decimal("-0.01"), Decimal("123456789012345678901234567890.12")],
        [1.1, -0.01, 123456789012345678901234567890.12],
    ),
    "decimals of one length": (
        {"type": "fixed", "name": "D", "size": 16, "logicalType": "decimal", "precision": 30, "scale": 3},
        [Decimal("-5.125")],
        [-5.125],
    ),
    "ids": (logical("uuid", "string"), [UUID(int=1)], ["00000000-0000-0000-0000-000000000001"]),
    "bytes": ("bytes", [b"text", b"\xff\x00"], ["text", "/wA="]),
    "bytes of one length": ({"type": "fixed", "name": "F", "size": 2}, [b"ab", b"\xff\x00"], ["ab", "/wA="]),
    "an unknown logical type": (logical("of-somebody"), [5], [5]),
    "a logical type of another base": (logical("timestamp-micros", "string"), ["a"], ["a"]),
    "enumerations": ({"type": "enum", "name": "N", "symbols": ["A", "B"]}, ["B"], ["B"]),
    "numbers that JSON has not": ("double", [1.5, float("nan"), float("inf")], [1.5, None, None]),
    "small numbers that JSON has not": ("float", [1.5, float("-inf")], [1.5, None]),
    "such numbers in lists": ({"type": "array", "items": "double"}, [[1.5, float("nan")]], [[1.5, None]]),
    "maps": ({"type": "map", "values": ["null", "int"]}, [{"a": 1, "b": None}], [{"a": 1}]),
    "nulls": ({"type": "array", "items": "null"}, [[None, None]], [[None, None]]),
    "unions": (
        {"type": "array", "items": ["string", logical("timestamp-micros"), logical("date", "int")]},
        [[NOON, date(2026, 3, 10), "text"]],
        [["2026-03-10T12:00:00Z", "2026-03-10", "text"]],
    ),
    "records": (
        {"type": "record", "name": "Inner", "fields": [{"name": "at", "type": ["null", logical("timestamp-micros")]}]},
        [{"at": NOON}, {"at": None}],
        [{"at": "2026-03-10T12:00:00Z"}, {}],
    ),
    "one type in two places": (
        {
            "type": "record",
            "name": "Two",
            "fields": [
                {"name": "a", "type": {"type": "fixed", "name": "Once", "size": 1}},
                {"name": "b", "type": "Once"},
            ],
        },
        [{"a": b"x", "b": b"\xff"}],
        [{"a": "x", "b": "/w=="}],
    ),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_avro_is_that_of_parquet(kind: str) -> None:
    schema, found, expected = VALUES[kind]
    assert values(schema, *found) == expected


def test_text_that_is_none_is_refused_alone() -> None:
    rows = [
        {"type": b"track", "userId": name, "event": b"E", "timestamp": b"2026-03-10T12:00:00Z"}
        for name in (b"ada", b"\xff", b"ben")
    ]
    written = avro(dict.fromkeys(rows[0], "bytes"), rows, sync_marker=SYNC)
    fields = [{"name": name, "type": "string"} for name in rows[0]]  # the same bytes, and never held against UTF-8
    ended: list[Any] = []
    for payload in read(headed(written, json.dumps({"type": "record", "name": "Row", "fields": fields}))):
        try:
            ended.append(decode(payload)[0].user)
        except Refused as refused:
            ended.append(refused.cause)
    assert ended == ["ada", Cause.NOT_UTF8, "ben"]


WHOLE = avro(CALLS, ROWS, sync_marker=SYNC)
SNAPPED = io.BytesIO()
pl.DataFrame({"userId": [f"u{n}" for n in range(5_000)]}).write_avro(SNAPPED, compression="snappy")
LOOP = {"type": "record", "name": "Loop", "fields": [{"name": "next", "type": ["null", "Loop"]}]}
UNREADABLE = {
    "nothing": (b"", "does not begin as an Avro file"),
    "lines": (b'{"type":"track"}\n' * 10, "does not begin as an Avro file"),
    "only a beginning": (WHOLE[:4], "its head is damaged"),
    "half a head": (WHOLE[:100], "its head is damaged"),
    "half": (WHOLE[: len(WHOLE) // 2], "cut off"),
    "without its last byte": (WHOLE[:-1], "cut off"),
    "another mark": (WHOLE[:-1] + b"\x00", "the mark of the file"),
    "a size that cannot be": (WHOLE + number(1) + number(1 << 40), "its size cannot be"),
    "records without bytes": (WHOLE + number(1 << 40) + number(0) + SYNC, "fewer bytes than records"),
    "a record too many": (WHOLE + number(2) + number(2) + b"\x02a" + SYNC, "a record is damaged"),
    "a number without end": (WHOLE + b"\xff" * 20, "a number has no end"),
    "an unknown codec": (headed(WHOLE, json.dumps({"type": "record", "name": "R", "fields": []}), "lz9"), "lz9"),
    "no records": (headed(WHOLE, '"string"'), "its rows are no records"),
    "no schema": (headed(WHOLE, "{"), "its head is damaged"),
    "an unknown type": (headed(WHOLE, '{"type": "what"}'), "its head is damaged"),
    "records inside themselves": (headed(WHOLE, json.dumps(LOOP)), "inside themselves"),
    "a wrong sum": (SNAPPED.getvalue()[:-17] + b"\x00" + SNAPPED.getvalue()[-16:], "checksum"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_cannot_be_read_to_its_end_fails_by_name(kind: str) -> None:
    content, cause = UNREADABLE[kind]
    with pytest.raises(UnreadableFile, match=r"^e\.avro: ") as raised:
        read(content)
    assert cause in str(raised.value)
    assert "\n" not in str(raised.value)


@settings(max_examples=examples(200), deadline=None)
@given(
    content=st.sampled_from(
        [avro(CALLS, ROWS[:50], codec) for codec in CODECS] + [packed(avro(CALLS, ROWS[:50])), SNAPPED.getvalue()]
    ),
    at=st.floats(0, 1),
    inserted=st.binary(max_size=8),
    removed=st.integers(0, 20),
)
def test_no_content_makes_reading_raise_anything_else(content: bytes, at: float, inserted: bytes, removed: int) -> None:
    place = int(at * len(content))
    with suppress(UnreadableFile):
        read(content[:place] + inserted + content[place + removed :])


@given(cut=st.integers(0, len(WHOLE) - 1))
def test_no_part_of_a_file_passes_for_the_whole_but_whole_blocks(cut: int) -> None:
    try:
        found = read(WHOLE[:cut])
    except UnreadableFile:
        return
    assert WHOLE[:cut].endswith(SYNC)
    assert found == read(WHOLE)[: len(found)]


@settings(deadline=None)
@given(most=st.integers(20, 2 * len(WHOLE)), codec=st.sampled_from(CODECS))
def test_the_pieces_of_a_file_are_the_file(most: int, codec: str) -> None:
    content = avro(CALLS, ROWS[:200], codec, sync_interval=500)
    pieces = list(pieces_of_file(io.BytesIO(content), "e.avro", len(content), most))
    found = [row for piece in pieces for row in messages_of_file(io.BytesIO(content), "e.avro", piece)]
    assert found == read(content)
    assert len(pieces) == max(1, -(-len(content) // most))


def test_files_that_are_named_otherwise_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"an Avro file: its name must end in \.avro"):
        read(WHOLE, "e.jsonl")


def test_times_of_a_far_year_are_dead_letters_and_no_damage() -> None:
    rows = [
        {"type": "track", "event": "E", "userId": "u", "timestamp": at, "properties": {}} for at in (BEYOND * 10, 1)
    ]
    first, second = read(avro(CALLS, rows))
    with pytest.raises(Refused, match="bad_time"):
        decode(first)
    assert decode(second)[0].time == 1


def test_what_others_read_with_fastavro_stays_as_it_was() -> None:
    content = avro({"at": logical("timestamp-micros")}, [{"at": NOON + timedelta(hours=1)}])
    read(content)
    assert [*fastavro.reader(io.BytesIO(content))] == [{"at": NOON + timedelta(hours=1)}]
