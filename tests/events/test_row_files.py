"""Rows as files: large ones take no more memory than small ones."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.row_files import RowFiles


def test_large_rows_are_written_before_there_are_many(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    files = RowFiles(str(tmp_path / "out.parquet"), tmp_path / "scratch", pa.schema({"said": pa.string()}))
    for number in range(40):
        files.write("", {"said": f"{number}" + "x" * (1 << 20)})
    assert sum(file.stat().st_size for file in (tmp_path / "scratch").iterdir()) > 16 << 20
    files.finish()
    found = pq.ParquetFile(tmp_path / "out.parquet")
    assert (found.num_row_groups, found.metadata.num_rows) == (3, 40)
