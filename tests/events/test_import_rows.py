"""Rows of outside data: each becomes calls that a job reads, or is rejected with its line; nothing stops an import."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any

import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.decode import decode
from transforms.events.files import UnreadableFile
from transforms.events.imports.mapping import Csv, Rejected, calls_of, read_mapping
from transforms.events.imports.rows import Row, read_rows
from transforms.events.times import read_time

Plain = dict[str, Any]
NOW = read_time("2026-07-01T00:00:00Z")
TIME = "2026-03-10T12:00:00Z"
COLUMNS = ["id", "visitor", "at", "n", "f", "b", "d", "j", "l", "w"]
#: A mapping with a column of every type.
EVERY_TYPE = {
    "user": "id",
    "anonymous": "visitor",
    "time": "at",
    "zone": "Europe/Berlin",
    "event": "Came",
    "properties": {"n": {"column": "n", "type": "integer"}, "f": {"column": "f", "type": "number", "decimal": ","}},
    "attributes": {
        "b": {"column": "b", "type": "boolean"},
        "d": {"column": "d", "type": "date"},
        "j": {"column": "j", "type": "json"},
        "l": {"column": "l", "type": "list"},
        "t": {"column": "at", "type": "time"},
        "w": {"column": "w", "values": {"x": 1}},
        "all": "w",
    },
    "only": {"w": ["", "x", "y"]},
}


def rows(data: bytes, name: str = "a.csv", **text: str) -> list[Row]:
    return list(read_rows(io.BytesIO(data), name, Csv(**text))[1])


def calls(plain: Plain, row: Plain, time: int | None = None) -> list[Plain] | None:
    return calls_of(read_mapping(plain), row, time, NOW)


CELLS = st.one_of(
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "ada",
                "guest",
                "~x",
                "0",
                "1",
                "-5",
                "1e5",
                "1e999",
                "nan",
                "inf",
                "9" * 30,
                "1_000",
                "١٢",
                "1.234,5",
            ),
            *(
                "yes",
                "TRUE",
                "2026-03-10",
                "2026-03-10T12:00:00Z",
                "2026-03-29 02:30:00",
                "0001-01-01",
                "9999-12-31T23:59:59",
            ),
            *(
                '{"a": [1',
                '{"a": 1e999}',
                "[" * 90 + "]" * 90,
                '{"a": 99999999999999999999}',
                '"\\ud800"',
                "\0",
                '"',
                "\r",
                "a\nb",
            ),
            *("x", "y", "x" * 300),
        ]
    ),
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(CELLS, min_size=0, max_size=12), max_size=12), st.sampled_from([",", ";", "\t"]))
def test_each_row_of_hostile_cells_is_imported_or_rejected_with_its_line(
    table: list[list[str]], delimiter: str
) -> None:
    text, lines, line = io.StringIO(newline=""), [], 1
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for cells in [COLUMNS, *table]:
        before = text.tell()
        writer.writerow(cells)
        lines.append(line)
        line += len(io.StringIO(text.getvalue()[before:], newline=None).read().split("\n")) - 1
    data = text.getvalue().encode(errors="surrogatepass")
    columns, found = read_rows(io.BytesIO(data), "a.csv", Csv(delimiter=delimiter))
    assert columns == COLUMNS
    seen = list(found)
    written = [(at, cells) for at, cells in zip(lines[1:], table, strict=True) if cells]  # `[]` is a blank line
    assert [row.line for row in seen] == [at for at, _ in written]
    mapping = read_mapping(EVERY_TYPE)
    for row, (_, cells) in zip(seen, written, strict=True):
        try:
            if row.wrong is not None:
                raise row.wrong
            assert [*row.cells.values()] == [cell.strip() for cell in cells]
            made = calls_of(mapping, row.cells, None, NOW)
        except Rejected as error:
            assert error.cause  # noqa: PT017 - most rows are rejected, not all
            continue
        for call in made or ():
            event, _ = decode(msgspec.json.encode(call))
            assert event.historical
            assert event.time <= NOW
        assert made == calls_of(mapping, row.cells, None, NOW), "imported again it is the same"


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_bytes_follow_a_header_no_row_stops_another(data: bytes, zipped: bool) -> None:
    whole = b"id,at\n" + data
    packed, name = (gzip.compress(whole), "a.csv.gz") if zipped else (whole, "a.csv")
    for row in rows(packed, name):
        assert row.line >= 2
        assert row.wrong is not None or {*row.cells} == {"id", "at"}


def test_lines_are_those_of_the_file() -> None:
    data = b'\xef\xbb\xbfid,at\r\n\r\na,"1\n2"\r\n"b\nc"\r\n  \nd,e\xff\nf,g,h\n"i'
    found = rows(data)
    assert [(row.line, row.cells, row.wrong and row.wrong.cause) for row in found] == [
        (3, {"id": "a", "at": "1\n2"}, None),
        (5, {}, "invalid"),
        (8, {}, "not_utf8"),
        (9, {}, "invalid"),
        (10, {}, "invalid"),
    ]
    assert found[2].raw == b"d,e\xff\n"


def test_a_quote_that_nobody_closes_takes_a_piece_of_the_file() -> None:
    line = "x" * 99 + "\n"
    found = rows(f'id\n"{line * 30_000}'.encode())
    assert [row.wrong.detail.partition(":")[0] for row in found[:1] if row.wrong] == ["not a row"]
    assert found[-1].line == 30_001
    assert len(found) > 10_000


def test_a_quote_that_nobody_closes_rejects_its_row_and_keeps_what_it_took() -> None:
    [found] = rows(b'id,at\na,"never\nb,1\nc,2\n')
    assert found.wrong is not None
    assert (found.line, found.wrong.cause) == (2, "invalid")
    assert "quote" in found.wrong.detail
    assert found.raw == b'a,"never\nb,1\nc,2\n'


def test_what_follows_a_closed_quote_is_no_cell() -> None:
    found = rows(b'id,at\na,"say "hi" there"\nb,"say ""hi"""\nc,5" pipe\n')
    assert [(row.line, row.cells.get("at"), row.wrong and row.wrong.cause) for row in found] == [
        (2, None, "invalid"),
        (3, 'say "hi"', None),
        (4, '5" pipe', None),
    ]


def test_the_line_by_which_excel_knows_the_delimiter_is_none() -> None:
    [found] = rows(b"\xef\xbb\xbfsep=;\r\nid;at\r\na;1\r\n", delimiter=";")
    assert (found.line, found.cells) == (3, {"id": "a", "at": "1"})


def test_spaces_around_a_cell_are_none_of_it_and_databases_write_null() -> None:
    found = rows("id , at\n ann\u00a0,\t1\n\\N,2\n".encode())
    assert [row.cells for row in found] == [{"id": "ann", "at": "1"}, {"id": "", "at": "2"}]


@pytest.mark.parametrize(
    ("data", "text", "said"),
    [
        ("id,at\na,1\n".encode("utf-16"), {}, "begins like UTF-16: .*encoding: utf-16"),
        ("id,at\na,1\n".encode("utf-16-le"), {}, "begins like UTF-16: .*encoding: utf-16.*utf-16-le"),
        (gzip.compress(b"id,at\n"), {}, r"begins like a gzip file: its name must end in \.gz"),
        (b"PK\x03\x04" + bytes(50), {}, "begins like a zip file.*CSV"),
        (b"PAR1" + bytes(50), {}, r"begins like a Parquet file: its name must end in \.parquet"),
        (b"Obj\x01" + bytes(50), {}, r"begins like an Avro file: its name must end in \.avro"),
        ("id\nJos\xe9\n".encode("cp1252"), {"encoding": "utf-32"}, "cannot be read: .*`encoding`"),
        ("Jos\xe9\na\n".encode("cp1252"), {}, "its first line names no columns: .*`encoding`"),
    ],
)
def test_what_is_no_text_says_what_it_is(data: bytes, text: Plain, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        rows(data, **text)


def test_an_encoding_is_named() -> None:
    assert rows("id;at\nJos\xe9;1\n".encode("cp1252"), delimiter=";", encoding="cp1252")[0].cells["id"] == "Jos\xe9"
    assert rows("id\n\u5c4a\n".encode("utf-16"), encoding="utf-16")[0].cells == {"id": "\u5c4a"}
    for name in ("utf-9", "hex", "rot13", "zlib", "a\0b"):
        with pytest.raises(UnreadableFile, match=r"a\.csv: .* is no encoding of text"):
            rows(b"id\n", encoding=name)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8", "U8", "utf-8-sig", "cp65001"])
def test_a_mark_before_the_header_is_none_of_it_however_utf_8_is_called(encoding: str) -> None:
    assert rows(b"\xef\xbb\xbfid\na\n", encoding=encoding)[0].cells == {"id": "a"}


def test_rows_of_parquet_and_of_lines_have_numbers(tmp_path: Any) -> None:
    moment = datetime(2026, 3, 10, 12, tzinfo=UTC)
    table = pa.table({"id": [7, None], "at": [moment, moment], "tags": [["a"], None]})
    pq.write_table(table, tmp_path / "a.parquet")
    columns, found = read_rows(io.BytesIO((tmp_path / "a.parquet").read_bytes()), "a.parquet", Csv())
    seen = list(found)
    assert columns == ["id", "at", "tags"]
    assert [(row.line, row.cells.get("id")) for row in seen] == [(1, 7), (2, None)]
    plain = {"user": "id", "time": "at", "attributes": {"tags": {"column": "tags", "type": "list"}}}
    [call] = calls(plain, seen[0].cells) or []
    assert (call["userId"], call["timestamp"], call["traits"]) == ("7", "2026-03-10T12:00:00Z", {"tags": ["a"]})
    written = io.BytesIO()
    kinds = {"id": ["null", "long"], "at": {"type": "long", "logicalType": "timestamp-micros"}}
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    fastavro.writer(written, schema, [{"id": 7, "at": moment}, {"id": None, "at": moment}])
    assert read_rows(io.BytesIO(written.getvalue()), "a.avro", Csv())[0] == ["id", "at"]
    assert [(row.line, row.cells) for row in rows(written.getvalue(), "a.avro")] == [
        (1, {"id": 7, "at": "2026-03-10T12:00:00Z"}),
        (2, {"at": "2026-03-10T12:00:00Z"}),
    ]
    read = rows(b'{"id": "a"}\n[]\nnothing\n', "a.jsonl")
    assert [(row.line, bool(row.wrong)) for row in read] == [(1, False), (2, True), (3, True)]
    with pytest.raises(UnreadableFile, match="no whole Parquet"):
        rows(b"PAR1", "a.parquet")
    with pytest.raises(UnreadableFile, match="no whole Avro"):
        rows(b"Obj", "a.avro")


@pytest.mark.parametrize(
    ("said", "cell", "becomes"),
    [
        ({}, "x", "x"),
        ({"type": "integer"}, " 42 ", 42),
        ({"type": "integer"}, "4.2", None),
        ({"type": "number", "decimal": ","}, "1.234,50", 1234.5),
        ({"type": "number", "decimal": ","}, "-1.234.567", -1234567),
        ({"type": "number", "decimal": ","}, "1234,5", 1234.5),
        ({"type": "number", "decimal": ","}, "12.50", None),
        ({"type": "number", "decimal": ","}, "1.5,0", None),
        ({"type": "number", "decimal": ","}, "1,234.50", None),
        ({"type": "number", "decimal": ","}, "1,234.567", None),
        ({"type": "number"}, "1e400", None),
        ({"type": "boolean"}, "No", False),
        ({"type": "boolean"}, "maybe", None),
        ({"type": "date", "format": "%d.%m.%Y"}, "10.12.1815", "1815-12-10"),
        ({"type": "date"}, "31.12.2025", None),
        ({"type": "time", "format": "unix"}, "1404214634", "2014-07-01T11:37:14Z"),
        ({"type": "time", "format": "unix_ms"}, "1404214634500", "2014-07-01T11:37:14.500000Z"),
        ({"type": "time", "zone": "Asia/Tokyo"}, "2026-03-10 09:00:00", "2026-03-10T00:00:00Z"),
        ({"type": "time", "zone": "Asia/Tokyo"}, "2026-03-10T09:00:00+01:00", "2026-03-10T08:00:00Z"),
        ({"type": "time"}, "2026-03-10 09:00:00", None),
        ({"type": "time", "format": "%Y"}, "1", None),
        (
            {"type": "time", "format": "%Y-%m-%d %H:%M:%S %Z", "zone": "Asia/Tokyo"},
            "2026-03-10 09:00:00 UTC",
            "2026-03-10T09:00:00Z",
        ),
        ({"type": "time", "format": "%Z %Y-%m-%d %H:%M:%S"}, "gmt 2026-03-10 09:00:00", "2026-03-10T09:00:00Z"),
        ({"type": "time", "format": "%Y-%m-%d %H:%M:%S %Z", "zone": "UTC"}, "2026-03-10 09:00:00 PST", None),
        ({"type": "date", "format": "%Y-%m-%d %Z"}, "2026-03-10 UTC", "2026-03-10"),
        ({"type": "time", "format": "excel", "zone": "UTC"}, "46082.4166666667", "2026-03-01T10:00:00Z"),
        ({"type": "time", "format": "excel", "zone": "Europe/Berlin"}, "46082", "2026-02-28T23:00:00Z"),
        ({"type": "time", "format": "excel"}, "46082", None),
        ({"type": "time", "format": "excel", "zone": "UTC"}, "1e9", None),
        ({"type": "time", "format": "excel", "zone": "UTC"}, "3/1/2026", None),
        ({"type": "date", "format": "excel"}, "46082", "2026-03-01"),
        ({"type": "date", "format": "excel"}, "x", None),
        ({"type": "json"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "json"}, "{", None),
        ({"type": "list", "separator": "|"}, "a| b||", ["a", "b"]),
        ({"type": "list"}, {"a": 1}, None),
        ({"values": {"P": "pro"}}, "P", "pro"),
        ({"values": {"P": "pro"}}, "X", None),
    ],
)
def test_cells_are_read_as_their_types(said: Plain, cell: Any, becomes: Any) -> None:
    plain = {"user": {"constant": "ada"}, "attributes": {"a": {"column": "c", **said}}}
    if becomes is None:
        with pytest.raises(Rejected, match=r"`attributes\.a`"):
            calls(plain, {"c": cell}, NOW)
    else:
        [call] = calls(plain, {"c": cell}, NOW) or []
        assert call["traits"] == {"a": becomes}


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"id": "", "at": TIME, "v": "1"}, "no_id"),
        ({"id": "guest", "at": TIME, "v": "1"}, "refused_id"),
        ({"id": 4.0, "at": TIME, "v": "1"}, "invalid"),
        ({"id": "ada", "at": "yesterday", "v": "1"}, "bad_time"),
        ({"id": "ada", "at": "2027-01-01T00:00:00Z", "v": "1"}, "bad_time"),
        ({"id": "ada", "at": "", "v": "1"}, "no_time"),
        ({"id": "ada", "at": TIME, "v": " "}, "empty"),
        ({"id": "ada", "at": TIME, "v": "\ud800"}, "not_utf8"),
    ],
)
def test_what_no_job_would_read_is_rejected(row: Plain, cause: str) -> None:
    with pytest.raises(Rejected) as rejected:
        calls({"user": "id", "time": "at", "attributes": {"v": "v"}}, row)
    assert rejected.value.cause == cause


def test_what_is_missing_is_said_by_its_column() -> None:
    plain = {"user": {"column": ["id", "ID"], "required": True}, "time": "at", "event": "Came"}
    with pytest.raises(Rejected) as rejected:
        calls(plain, {"id": "", "at": TIME})
    assert rejected.value.detail == "`userId` is missing: `id`, `ID` say nothing"


def test_ids_are_made_of_what_is_said() -> None:
    plain = {"user": "id", "time": "at", "event": {"column": "what"}, "properties": {"v": "v"}}
    row = {"id": "ada", "at": TIME, "what": "Came", "v": "1", "other": "x"}
    [first] = calls(plain, row) or []
    assert calls(plain, row | {"other": "y", "at": "2026-03-10T13:00:00+01:00"}) == [first]
    [second] = calls(plain, row | {"v": "2"}) or []
    assert second["messageId"] != first["messageId"]
    named = plain | {"id": "other"}
    [one], [two] = calls(named, row) or [], calls(named, row | {"v": "2"}) or []
    assert one["messageId"] == two["messageId"] != first["messageId"]


@pytest.mark.parametrize("empty", ["", " ", None])
def test_rows_without_the_id_that_should_tell_them_apart_are_not_one(empty: str | None) -> None:
    plain = {"user": "id", "time": "at", "id": ["order", "line"], "event": "Came", "properties": {"v": "v"}}
    row = {"id": "ada", "at": TIME, "order": empty, "line": "", "v": "1"}
    [first], [again] = calls(plain, row) or [], calls(plain, row) or []
    [second], [third] = calls(plain, row | {"v": "2"}) or [], calls(plain, row | {"line": "7"}) or []
    assert len({first["messageId"], second["messageId"], third["messageId"]}) == 3
    assert again == first


def test_json_is_what_decodes() -> None:
    made = calls(EVERY_TYPE, {"id": "ada", "visitor": "v", "at": "2026-03-10 13:00:00", "n": "1", "f": "2,5", "w": "x"})
    assert json.loads(msgspec.json.encode(made)) == made
    assert made is not None
    assert [call["type"] for call in made] == ["track", "identify"]
    assert made[0]["properties"] == {"n": 1, "f": 2.5}
    assert made[1]["traits"] == {"t": TIME, "w": 1, "all": "x"}
    assert calls(EVERY_TYPE, {"id": "ada", "at": TIME, "w": "z"}) is None
