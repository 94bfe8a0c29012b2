"""Files are read to their end, or fail by name; whatever their rows hold, each is a message."""

import gzip
import io
import json
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event
from transforms.events.files import LONGEST_LINE, UnreadableFile, messages_of_file
from transforms.events.sources import Files
from transforms.events.transforms import ReadEvents, read_messages

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
LINES = b"".join(
    json.dumps({"type": "track", "event": "E", "userId": f"u{n}", "timestamp": NOON.isoformat()}).encode() + b"\n"
    for n in range(2_000)
)
ZIPPED = gzip.compress(LINES)
TRAILER = 8


def read(path: Path, content: bytes) -> list[bytes]:
    path.write_bytes(content)
    return [*read_messages(Files(str(path)))]


def ended(messages: Iterable[bytes]) -> list[Event | Cause]:
    """How each message ends."""
    found: list[Event | Cause] = []
    for message in messages:
        try:
            found.append(decode(message)[0])
        except Refused as refused:
            found.append(refused.cause)
    return found


UNREADABLE = {
    "half": ("e.jsonl.gz", ZIPPED[: len(ZIPPED) // 2], "cut off"),
    "without its trailer": ("e.jsonl.gz", ZIPPED[:-TRAILER], "cut off"),
    "without the trailer's last byte": ("e.jsonl.gz", ZIPPED[:-1], "cut off"),
    "only a header": ("e.jsonl.gz", ZIPPED[:5], "cut off"),
    "a second member that is cut off": ("e.jsonl.gz", ZIPPED + ZIPPED[:-TRAILER], "cut off"),
    "a wrong sum": ("e.jsonl.gz", ZIPPED[:-TRAILER] + bytes(TRAILER), "damaged"),
    "damaged inside": ("e.jsonl.gz", ZIPPED[:40] + bytes(200) + ZIPPED[240:], "damaged"),
    "lines behind it": ("e.jsonl.gz", ZIPPED + LINES, "damaged, or goes on with what is no gzip data"),
    "plain lines": ("e.jsonl.gz", LINES, "take .gz from its name, or compress it"),
    "nothing": ("e.jsonl.gz", b"", "is empty"),
    "no Parquet": ("e.parquet", b"", "no whole Parquet file"),
    "lines named as Parquet": ("e.parquet", LINES, "no whole Parquet file"),
    "Parquet that is cut off": ("e.parquet", b"PAR1" + bytes(1000), "no whole Parquet file"),
    "zipped Parquet that is none": ("e.parquet.gz", ZIPPED, "no whole Parquet file"),
    "zipped Parquet that is cut off": ("e.parquet.gz", ZIPPED[:-TRAILER], "cut off"),
    "UTF-16": ("e.jsonl", LINES.decode().encode("utf-16"), "iconv -f UTF-16"),
    "UTF-16, its other end first": ("e.jsonl", b"\xfe\xff" + LINES.decode().encode("utf-16-be"), "iconv -f UTF-16"),
    "UTF-16 without a mark": ("e.jsonl", LINES.decode().encode("utf-16-le"), "iconv -f UTF-16LE"),
    "zipped UTF-16": ("e.jsonl.gz", gzip.compress(LINES.decode().encode("utf-16")), "iconv -f UTF-16"),
    "gzip without its ending": ("e.jsonl", ZIPPED, "must end in .gz"),
    "Parquet without its ending": ("e.jsonl", b"PAR1" + LINES, "must end in .parquet"),
    "zstd": ("e.jsonl.zst", b"\x28\xb5\x2f\xfd" + LINES, "unpack it first"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_cannot_be_read_to_its_end_fails_by_name(tmp_path: Path, kind: str) -> None:
    name, content, cause = UNREADABLE[kind]
    with pytest.raises(UnreadableFile, match=r"e\.(jsonl|parquet)") as raised:
        read(tmp_path / name, content)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert cause in str(raised.value)
    assert "\n" not in str(raised.value)


PARQUET_ROWS = 50


def parquet_bytes() -> bytes:
    table = pa.table(
        {
            "type": ["track"] * PARQUET_ROWS,
            "userId": [f"u{number}" for number in range(PARQUET_ROWS)],
            "properties": [{"n": number, "list": [str(number)] * 3} for number in range(PARQUET_ROWS)],
            "timestamp": pa.array(range(PARQUET_ROWS), pa.timestamp("ns", "UTC")),
        }
    )
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    return written.getvalue()


WHOLE = parquet_bytes()


@settings(max_examples=examples(100), deadline=None)
@given(
    name=st.sampled_from(["e.jsonl", "e.jsonl.gz", "e.parquet", "e.parquet.gz"]),
    at=st.integers(0, len(WHOLE)),
    inserted=st.binary(max_size=8),
    removed=st.integers(0, 20),
    zipped=st.booleans(),
)
def test_no_content_makes_reading_raise_anything_else(
    name: str, at: int, inserted: bytes, removed: int, zipped: bool
) -> None:
    content = WHOLE[:at] + inserted + WHOLE[at + removed :]
    content = gzip.compress(content, 1) if zipped else content
    with suppress(UnreadableFile):
        ended(messages_of_file(io.BytesIO(content), name))


def test_it_fails_a_pipeline_too(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(ZIPPED[:-TRAILER])
    (tmp_path / "whole.jsonl.gz").write_bytes(ZIPPED)
    with (
        pytest.raises((UnreadableFile, RuntimeError), match=r"e\.jsonl\.gz: is cut off"),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = pipeline | ReadEvents(Files(str(tmp_path / "*.gz")))


@given(cut=st.integers(1, len(ZIPPED) - 1))
def test_no_part_of_a_gzip_file_passes_for_the_whole(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    with pytest.raises(UnreadableFile):
        read(tmp_path_factory.getbasetemp() / "e.jsonl.gz", ZIPPED[:cut])


def test_members_of_gzip_are_read_on_end_and_padding_is_none(tmp_path: Path) -> None:
    cut = len(LINES) // 3  # in the middle of a line
    content = gzip.compress(LINES[:cut]) + gzip.compress(b"") + gzip.compress(LINES[cut:]) + bytes(512)
    assert read(tmp_path / "e.jsonl.gz", content) == LINES.splitlines()
    raw = zlib.compressobj(wbits=31)
    assert read(tmp_path / "f.jsonl.gz", raw.compress(LINES) + raw.flush()) == LINES.splitlines()


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (b"", []),
        (BOM, []),
        (BOM + b"\n\r\n \t\n", []),
        (BOM + b"{}\n{}", [b"{}"] * 2),
        (b"{}\r\n" + BOM + b"{}\r\n" + BOM + b"\r\n{}\r", [b"{}"] * 3),  # files that were put together
        (b"{}\n\x00\x00\n\x00", [b"{}", b"\x00\x00", b"\x00"]),
        (b'{"a":"\xc2\x85\xe2\x80\xa8\x0b"}\n', [b'{"a":"\xc2\x85\xe2\x80\xa8\x0b"}']),  # no ends of lines
        (b"\n" * 3_000_000 + b"{}", [b"{}"]),
    ],
)
@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz"])
def test_lines(tmp_path: Path, name: str, content: bytes, messages: list[bytes]) -> None:
    assert read(tmp_path / name, gzip.compress(content, 1) if name.endswith("gz") else content) == messages


def test_a_line_without_end_is_one_dead_letter_and_its_beginning_is_kept(tmp_path: Path) -> None:
    long = b"[" + b"1," * LONGEST_LINE
    messages = read(tmp_path / "e.jsonl", LINES + long + b"\n" + LINES + long)
    assert [len(message) for message in messages if len(message) > 1000] == [LONGEST_LINE] * 2
    assert len(messages) == 4_002
    assert ended([messages[2_000]]) == [Cause.TOO_LARGE]


# ------------------------------------------------------------------------------------------------ Parquet


def rows(tmp_path: Path, columns: dict[str, Any], **how: Any) -> list[Event | Cause]:
    """How rows end: calls that are sound but for these columns."""
    count = len(next(iter(columns.values())))
    sound = {
        "type": ["track"] * count,
        "event": ["E"] * count,
        "messageId": [f"m{number}" for number in range(count)],
        "userId": ["u"] * count,
        "timestamp": pa.array([NOON] * count, pa.timestamp("us", "UTC")),
    }
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table(sound | columns), path, **how)
    found = ended(read_messages(Files(str(path))))
    zipped = tmp_path / "e.parquet.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert ended(read_messages(Files(str(zipped)))) == found
    return found


def values(tmp_path: Path, array: pa.Array, **how: Any) -> list[Any]:
    """What becomes of the values of a column inside `properties`; a cause where it is a dead letter."""
    inside = pa.StructArray.from_arrays([array], ["value"])
    found = rows(tmp_path, {"properties": inside}, **how)
    return [each.properties.get("value") if isinstance(each, Event) else each for each in found]


def times(*values: int | None, unit: str = "us", zone: str | None = "UTC") -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp(unit, zone))


def bad_text(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


VALUES: dict[str, tuple[pa.Array, list[Any]]] = {
    "nanoseconds": (times(0, 1_999, None, unit="ns"), ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z", None]),
    "nanoseconds in a list": (
        pa.array([[1_000, None], None, []], pa.list_(pa.timestamp("ns", "Asia/Tokyo"))),
        [["1970-01-01T00:00:00.000001Z", None], None, []],
    ),
    "nanoseconds in a struct in a list": (
        pa.array([[{"at": 1_000}], [None], [{"at": None}]], pa.list_(pa.struct([("at", pa.timestamp("ns"))]))),
        [[{"at": "1970-01-01T00:00:00.000001"}], [None], [{}]],
    ),
    "years that few calendars have": (
        times(10**18, -(10**18), 2**63 - 1, -(2**63) + 1),
        [
            *("+33658-09-27T01:46:40Z", "-29719-04-05T22:13:20Z"),
            *("+294247-01-10T04:00:54.775807Z", "-290308-12-21T19:59:05.224193Z"),
        ],
    ),
    "days": (pa.array([0, 2**31 - 1, None], pa.int32()).view(pa.date32()), ["1970-01-01", "+5881580-07-11", None]),
    "times of day": (
        pa.array([1, 86_399_999_999_000, None], pa.time64("ns")),
        ["00:00:00", "23:59:59.999999", None],
    ),
    "durations": (pa.array([1_500, -2_000, None], pa.duration("ms")), [1.5, -2, None]),
    "text that is none": (bad_text(b"a", b'\xff"\\\n', b"\xed\xa0\x80", None), ["a", "not_utf8", "not_utf8", None]),
    "bytes": (pa.array([b"text", b"\xff\x00", None], pa.binary()), ["text", "/wA=", None]),
    "decimals": (
        pa.array([Decimal("1.10"), Decimal("-0.01"), None], pa.decimal128(38, 2)),
        [1.1, -0.01, None],
    ),
    "decimals beyond 64 bits": (
        pa.array([Decimal(10) ** 30, Decimal(5), None], pa.decimal256(70, 0)),
        ["unsupported", 5, None],
    ),
    "dictionaries": (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
    "maps": (
        pa.array([[("a", 1), ("b", None), ("a", 2)], None, []], pa.map_(pa.string(), pa.int8())),
        [{"a": 2}, None, {}],
    ),
    "maps by number": (
        pa.array([[(1, [{"x": 1}])], [(2, [None])]], pa.map_(pa.int64(), pa.list_(pa.struct([("x", pa.int8())])))),
        [{"1": [{"x": 1}]}, {"2": [None]}],
    ),
    "numbers that JSON has not": (
        pa.array([1.5, float("nan"), float("inf"), float("-inf")], pa.float32()),
        [1.5, None, None, None],
    ),
    "numbers that JSON has not, in lists": (pa.array([[1.5, float("nan")], None]), [[1.5, None], None]),
    "large unsigned numbers": (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
    "nulls": (pa.nulls(2), [None, None]),
    "lists of lists of nothing": (pa.array([[[]], [None], None]), [[[]], [None], None]),
    "lists of one length": (pa.array([[1, 2], [3, None]], pa.list_(pa.int8(), 2)), [[1, 2], [3, None]]),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_parquet_is_one_of_json_or_its_row_alone_is_a_dead_letter(tmp_path: Path, kind: str) -> None:
    array, expected = VALUES[kind]
    assert values(tmp_path, array) == expected


def test_times_of_rows(tmp_path: Path) -> None:
    sound = times(NOON_US, 10**18, -(10**18), NOON_US + 1)
    first, second, third, last = rows(tmp_path, {"timestamp": sound})
    assert (second, third) == (Cause.BAD_TIME, Cause.BAD_TIME)
    assert isinstance(first, Event)
    assert isinstance(last, Event)
    assert (first.time, last.time) == (NOON_US, NOON_US + 1)
    naive = times(NOON_US, zone=None)
    assert rows(tmp_path, {"timestamp": naive}) == [Cause.BAD_TIME]


def test_int96_is_utc_and_does_not_go_round_in_the_year_2262(tmp_path: Path) -> None:
    beyond = [10**16, 250_000_000_000_000_000]
    first, *others = rows(tmp_path, {"timestamp": times(NOON_US, *beyond)}, use_deprecated_int96_timestamps=True)
    assert isinstance(first, Event)
    assert first.time == NOON_US
    assert [other.time if isinstance(other, Event) else other for other in others] == beyond
    inside = pa.array(
        [{"l": [{"at": NOON}, None], "m": [("k", NOON)], "n": 1}, {"l": None, "m": None, "n": None}],
        pa.struct(
            [
                ("l", pa.list_(pa.struct([("at", pa.timestamp("us"))]))),
                ("m", pa.map_(pa.string(), pa.timestamp("us"))),
                ("n", pa.int8()),
            ]
        ),
    )
    noon = "2026-03-10T12:00:00Z"
    found = values(tmp_path, inside, use_deprecated_int96_timestamps=True)
    assert found == [{"l": [{"at": noon}, None], "m": {"k": noon}, "n": 1}, {}]


def test_ids_that_are_bytes_or_uuids(tmp_path: Path) -> None:
    raw = rows(tmp_path, {"userId": pa.array([b"ada", b"\xff", None], pa.binary())})
    assert [each.user if isinstance(each, Event) else each for each in raw] == ["ada", "/w==", Cause.NO_ID]
    (same,) = rows(tmp_path, {"userId": pa.array([b"0123456789abcdef"], pa.uuid())})
    assert isinstance(same, Event)
    assert same.user == "30313233-3435-3637-3839-616263646566"


def test_objects_are_columns_of_structs_or_maps_or_json(tmp_path: Path) -> None:
    texts = bad_text(b'{"a": 1}', b"{", b'{"a": "\xff"}', b"[" * 5_000, None)
    found = rows(tmp_path, {"properties": texts})
    assert isinstance(found[0], Event)
    assert found[0].properties == {"a": 1}
    assert found[1:4] == [Cause.INVALID, Cause.NOT_UTF8, Cause.INVALID]
    assert isinstance(found[4], Event)


def test_a_parquet_file_without_rows_has_no_messages(tmp_path: Path) -> None:
    table = pa.table({"type": pa.array([], pa.string())})
    pq.write_table(table, tmp_path / "e.parquet")
    assert [*read_messages(Files(str(tmp_path / "e.parquet")))] == []


def test_a_damaged_page_fails_the_file_by_name(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    pq.write_table(pa.table({"type": [f"track{n}" for n in range(50_000)]}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[200:4_000] = bytes(3_800)
    with pytest.raises(UnreadableFile, match=r"e\.parquet: cannot be read"):
        read(path, bytes(content))
