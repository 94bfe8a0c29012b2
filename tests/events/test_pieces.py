"""Large files are read in pieces, by several workers: together they are the file."""

import gzip
import io
import json
from pathlib import Path

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.files import UnreadableFile, messages_of_file
from transforms.events.pieces import PIECE_BYTES, WHOLE, FilePiece, pieces_of_file
from transforms.events.sources import Files
from transforms.events.transforms import ReadEvents


def in_pieces(content: bytes, name: str, most: int) -> list[bytes]:
    file = io.BytesIO(content)
    return messages_of(content, name, [*pieces_of_file(file, name, len(content), most)])


def messages_of(content: bytes, name: str, pieces: list[FilePiece]) -> list[bytes]:
    return [message for piece in pieces for message in messages_of_file(io.BytesIO(content), name, piece)]


LINE = st.one_of(st.binary(max_size=12), st.sampled_from([b"", b"\r", b"\n", b"\xef\xbb\xbf{}", b" "]))


@settings(max_examples=examples(300), deadline=None)
@given(lines=st.lists(LINE, max_size=12), ended=st.booleans(), most=st.integers(1, 30))
def test_the_lines_of_pieces_are_those_of_the_file(lines: list[bytes], ended: bool, most: int) -> None:
    content = b"{}\n" + b"\n".join(lines) + b"\n" * ended
    assert in_pieces(content, "e.jsonl", most) == [*messages_of_file(io.BytesIO(content), "e.jsonl")]


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("most", [1, 600, 5_000, 1 << 30])
def test_the_rows_of_pieces_are_those_of_the_file(rows: int, most: int) -> None:
    written = io.BytesIO()
    pq.write_table(pa.table({"userId": [f"u{number}" for number in range(64)]}), written, row_group_size=rows)
    content = written.getvalue()
    whole = [*messages_of_file(io.BytesIO(content), "e.parquet")]
    assert in_pieces(content, "e.parquet", most) == whole
    pieces = [*pieces_of_file(io.BytesIO(content), "e.parquet", len(content), most)]
    assert most > 1 or len(pieces) == -(-64 // rows)
    assert most < 1 << 30 or len(pieces) == 1


def test_what_is_gzipped_or_small_is_one_piece_and_what_is_damaged_is_said_by_its_reader() -> None:
    content = gzip.compress(b"{}\n" * 99, 0)
    assert [*pieces_of_file(io.BytesIO(content), "e.jsonl.gz", len(content), 10)] == [WHOLE]
    assert [*pieces_of_file(io.BytesIO(b"{}"), "e.jsonl", 2)] == [WHOLE]
    with pytest.raises(UnreadableFile, match="no whole Parquet file"):
        in_pieces(b"PAR1" + bytes(99), "e.parquet", 10)


def test_a_file_that_has_become_shorter_is_not_taken_for_whole() -> None:
    lines, table, rows = b"{}\n" * 40, io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"n": range(40)}), table, row_group_size=10)
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}
    fastavro.writer(rows, schema, [{"n": number} for number in range(40)], sync_interval=1)
    shorter, fewer = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"n": range(20)}), shorter, row_group_size=10)
    fastavro.writer(fewer, schema, [{"n": 1}], sync_interval=1)
    for name, before, now in (
        ("e.jsonl", lines, lines[:60]),
        ("e.parquet", table.getvalue(), shorter.getvalue()),
        ("e.avro", rows.getvalue(), fewer.getvalue()),
    ):
        pieces = [*pieces_of_file(io.BytesIO(before), name, len(before), 50)]
        assert len(messages_of(before, name, pieces)) == 40
        with pytest.raises(UnreadableFile, match=rf"{name}: .*shorter than when it was divided"):
            messages_of(now, name, pieces)


def test_a_pipeline_reads_each_message_of_a_large_file_once(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(80)]
    with (tmp_path / "e.jsonl").open("wb") as file:
        for name in names:
            file.write(json.dumps({"messageId": name, "long": "x" * (1 << 20)}).encode() + b"\n")
    assert (tmp_path / "e.jsonl").stat().st_size > 2 * PIECE_BYTES
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        read = pipeline | ReadEvents(Files(str(tmp_path / "e.jsonl")))
        assert_that(read | beam.Map(lambda message: json.loads(message[0])["messageId"]), equal_to(names))
