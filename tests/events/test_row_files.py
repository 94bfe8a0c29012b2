"""Rows as files: large ones take no more memory than small ones."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.events.row_files import RowFiles, whole_file


def test_large_rows_are_written_before_there_are_many(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    files = RowFiles(str(tmp_path / "out.parquet"), tmp_path / "scratch", pa.schema({"said": pa.string()}))
    for number in range(40):
        files.write("", {"said": f"{number}" + "x" * (1 << 20)})
    assert sum(file.stat().st_size for file in (tmp_path / "scratch").iterdir()) > 16 << 20
    files.finish()
    found = pq.ParquetFile(tmp_path / "out.parquet")
    assert (found.num_row_groups, found.metadata.num_rows) == (3, 40)


def test_of_two_at_once_each_is_whole_and_the_later_stays(tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"

    def write(said: str) -> None:
        with whole_file(place) as unfinished, unfinished.open("w") as file:
            file.write(said)

    with ThreadPoolExecutor() as pool:
        with whole_file(place) as unfinished, unfinished.open("w") as file:
            file.write("first, ")
            file.flush()
            others = [pool.submit(write, f"{number}") for number in range(3)]
            with pytest.raises(TimeoutError):
                others[0].result(timeout=0.2)
            file.write("which is longer")
        assert {other.result(timeout=60) for other in others} == {None}
    assert place.read_text() in {"0", "1", "2"}
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_file_that_fails_leaves_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "out.jsonl"
    place.write_text("before")

    def fail() -> None:
        with whole_file(place) as unfinished:
            unfinished.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"out.jsonl": "before"}
