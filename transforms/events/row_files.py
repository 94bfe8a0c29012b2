"""Rows as files for others: JSON Lines or Parquet, plain or gzipped, in as many files as a pattern says.

Rows are written as they come into one plain file a part; then each of these becomes a file of the kind that is asked
for. No step holds more than a chunk. A file that is there already is replaced when the new one is whole.
"""

import fcntl
import gzip
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.times import read_time

__all__ = ["TIME", "RowFiles", "whole_file"]

#: A chunk: so many rows, or so many bytes of their JSON.
_ROWS, _BYTES = 20_000, 16 << 20
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
#: The type of a column of times: ISO 8601 text in JSON.
TIME = pa.timestamp("us", tz="UTC")


@contextmanager
def whole_file(place: Path) -> Iterator[Path]:
    """Where to write what takes the place of a file once it is whole: beside it, and not at all if that fails.

    Of two who write the same file at once the second waits for the first, and what it writes stays. Where a link leads
    is what is replaced. What is no file (a pipe, `/dev/stdout`) is written as it is.

    Raises:
      OSError: it cannot be written.
    """
    if place.exists() and not place.is_file():
        yield place
        return
    place = place.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}.part")
    file = _locked(unfinished)
    try:
        yield unfinished
        os.fsync(file)
        unfinished.replace(place)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def _locked(place: Path) -> int:
    """A file that nobody else writes until it is closed; where files cannot be locked, it is open."""
    while True:
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(place.stat(), os.fstat(file)):
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # whoever was before has given it its name meanwhile, or deleted it


class RowFiles:
    """Rows by the part that they belong to, in files.

    Args:
      pattern: of the files, with `*` for the part; without it all rows go into one. `.parquet` and `.gz` at its end say
        the kind.
      scratch: an empty folder.
      schema: the columns of Parquet. In one of text, what is no text is written as JSON; one of `TIME` takes times as
        they are written. In JSON Lines a row stands as it is.
    """

    def __init__(self, pattern: str, scratch: Path, schema: pa.Schema) -> None:
        self.files: list[str] = []
        self.rows = 0
        self._pattern, self._scratch, self._schema = pattern, scratch, schema
        self._held: dict[str, list[bytes]] = {}
        self._count = self._size = 0

    def write(self, part: str, row: Mapping[str, Any]) -> None:
        """Take a row; its part is that of a file's name, such as a day."""
        line = _encode(row)
        self._held.setdefault(part if "*" in self._pattern else "", []).append(line)
        self.rows += 1
        self._count, self._size = self._count + 1, self._size + len(line)
        if self._count >= _ROWS or self._size >= _BYTES:
            self._flush()

    def finish(self) -> None:
        """Make the files; without a part in its name there is one, if with no rows.

        Raises:
          OSError: one cannot be written.
        """
        self._flush()
        if "*" not in self._pattern:
            (self._scratch / "part-").touch()
        for spilled in sorted(self._scratch.iterdir()):
            place = Path(self._pattern.replace("*", spilled.name.removeprefix("part-")))
            with whole_file(place) as unfinished:
                self._make(spilled, unfinished, place.name)
            spilled.unlink()
            self.files.append(str(place))

    def _flush(self) -> None:
        for part, lines in self._held.items():
            with (self._scratch / f"part-{part}").open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
        self._held, self._count, self._size = {}, 0, 0

    def _make(self, spilled: Path, place: Path, name: str) -> None:
        """Write lines as what the name of a file says."""
        if name.removesuffix(".gz").endswith(".parquet"):
            plain = self._scratch / "parquet" if name.endswith(".gz") else place
            with pq.ParquetWriter(plain, self._schema) as writer:
                for rows in self._chunks(spilled):
                    writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
            if plain != place:
                _zip(plain, place)
                plain.unlink()
        elif name.endswith(".gz"):
            _zip(spilled, place)
        else:
            with spilled.open("rb") as read, place.open("wb") as written:
                shutil.copyfileobj(read, written, 1 << 20)

    def _chunks(self, spilled: Path) -> Iterator[list[dict[str, Any]]]:
        times = [field.name for field in self._schema if field.type == TIME]
        texts = [field.name for field in self._schema if field.type == pa.string()]
        rows, size = list[dict[str, Any]](), 0
        with spilled.open("rb") as file:
            for line in file:
                row: dict[str, Any] = _decode(line)
                row |= {name: read_time(row[name]) for name in times if row.get(name) is not None}
                row |= {name: _text(row[name]) for name in texts if row.get(name) is not None}
                rows.append(row)
                size += len(line)
                if len(rows) >= _ROWS or size >= _BYTES:
                    yield rows
                    rows, size = [], 0
        if rows:
            yield rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _zip(source: Path, place: Path) -> None:
    with source.open("rb") as read, gzip.open(place, "wb", compresslevel=6) as written:
        shutil.copyfileobj(read, written, 1 << 20)
