"""Files of messages, read to their end or not at all: lines of JSON, rows of Parquet or Avro, plain or gzipped."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.arrow import payloads, with_zones
from transforms.events.avro import rows_of_avro
from transforms.events.decode import BOM
from transforms.events.pieces import SHORTER, WHOLE, FilePiece
from transforms.events.sources import AVRO, PARQUET

__all__ = ["LONGEST_LINE", "UnreadableFile", "messages_of_file"]

#: How much of a line is kept: a longer one is a dead letter anyway, and a file without line ends must not fill memory.
LONGEST_LINE = 16 << 20

#: How much of a file is read at once, in bytes and in rows.
_CHUNK = 1 << 20
_ROWS = 8_192
_GZIP = b"\x1f\x8b"
#: How files begin that are not lines of UTF-8, and what to do with them.
_NO_LINES = {
    _GZIP: "a gzip file: its name must end in .gz",
    b"PAR1": "a Parquet file: its name must end in .parquet",
    b"\xff\xfe": "UTF-16: write it as UTF-8, as with iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16: write it as UTF-8, as with iconv -f UTF-16 -t UTF-8",
    b"{\x00": "UTF-16: write it as UTF-8, as with iconv -f UTF-16LE -t UTF-8",
    b"\x00{": "UTF-16: write it as UTF-8, as with iconv -f UTF-16BE -t UTF-8",
    b"BZh": "a bzip2 file: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it first",
    b"PK\x03\x04": "a zip file: unpack it first",
    b"Obj\x01": "an Avro file: its name must end in .avro",
    b"ORC": "an ORC file: write it as JSON Lines or Parquet",
}


class UnreadableFile(OSError):
    """A file that cannot be read to its end. The message begins with its name, and says what to do."""


def messages_of_file(file: BinaryIO, name: str, piece: FilePiece = WHOLE) -> Iterator[bytes]:
    """The messages of an open, seekable file, as the bytes of JSON objects; the file's name tells its kind.

    Those of the pieces of a file (`pieces`) are those of the file, in its order.

    Blank lines are skipped. A line longer than `LONGEST_LINE` is cut.

    Raises:
      UnreadableFile: the file is damaged, or of another kind; messages may have been given before.
    """
    with _named(name):
        if name.endswith(".gz"):
            _check_gzip(file, name)
            file = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
        if name.endswith(PARQUET):
            yield from _rows(file, name, piece)
        else:
            yield from rows_of_avro(file, piece) if name.endswith(AVRO) else _messages(file, name, piece)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the file in an error of its reader."""
    try:
        yield
    except UnreadableFile:
        raise
    except EOFError as error:
        raise UnreadableFile(f"{name}: is cut off: the gzip data ends too early; fetch or write it anew") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"{name}: is damaged, or goes on with what is no gzip data: {error}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError) as error:  # of names and nesting of columns
        raise UnreadableFile(f"{name}: cannot be read: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _check_gzip(file: BinaryIO, name: str) -> None:
    head = file.read(len(_GZIP))
    file.seek(0)
    if not head:
        raise UnreadableFile(f"{name}: is empty, which no gzip file is; fetch or write it anew")
    if head != _GZIP:
        raise UnreadableFile(f"{name}: is no gzip file: take .gz from its name, or compress it")


def _rows(file: BinaryIO, name: str, piece: FilePiece) -> Iterator[bytes]:
    whole = pa.BufferReader(file.read()) if name.endswith(".gz") else file
    try:
        # Arrow reads INT96 as nanoseconds, which end in the year 2262 and then wrap silently.
        parquet = pq.ParquetFile(whole, coerce_int96_timestamp_unit="us")
    except pa.ArrowInvalid as error:
        raise UnreadableFile(f"{name}: is no whole Parquet file: {_first_line(error)}") from error
    leaves = [parquet.schema.column(number).physical_type for number in range(len(parquet.schema))]
    zoned = with_zones(parquet.schema_arrow, leaves) if "INT96" in leaves else None
    start, stop = (0, parquet.num_row_groups) if piece == WHOLE else piece
    if stop > parquet.num_row_groups:
        raise UnreadableFile(f"{name}: {SHORTER}")
    for batch in parquet.iter_batches(_ROWS, row_groups=list(range(start, stop))):
        yield from payloads(batch if zoned is None else batch.cast(zoned))


def _messages(file: BinaryIO, name: str, piece: FilePiece) -> Iterator[bytes]:
    for line in _lines(file, name, piece):
        payload = line.removesuffix(b"\r")
        if payload.startswith(BOM):
            payload = payload.removeprefix(BOM)
        if payload and not payload.isspace():
            yield payload


def _lines(file: BinaryIO, name: str, piece: FilePiece) -> Iterator[bytes]:
    """Reads whole chunks, since Beam's files read these many times faster than lines."""
    parts: list[bytes] = []
    held = 0
    for number, chunk in enumerate(_chunks(file, name, piece)):
        if number == 0 and piece[0] == 0:
            _check_lines(chunk, name)
        first, *lines = chunk.split(b"\n")
        if held < LONGEST_LINE:
            parts.append(first)
            held += len(first)
        if lines:
            yield b"".join(parts)[:LONGEST_LINE]
            *whole, last = lines
            yield from whole
            parts, held = [last], len(last)
    yield b"".join(parts)[:LONGEST_LINE]


def _check_lines(beginning: bytes, name: str) -> None:
    for mark, what in _NO_LINES.items():
        if beginning.startswith(mark):
            raise UnreadableFile(f"{name}: begins like {what}")


def _chunks(file: BinaryIO, name: str, piece: FilePiece) -> Iterator[bytes]:
    """The bytes of the lines that begin in a piece.

    The line end before the first of them is looked for from the byte before the piece on, the last one is read to its
    own, which may lie behind the piece.
    """
    start, stop = piece
    at = max(start - 1, 0)
    if at:
        file.seek(at)
    begun = start == 0
    while chunk := file.read(_CHUNK):
        here, at = at, at + len(chunk)
        if not begun:
            end = chunk.find(b"\n")
            if end < 0 and at < stop:
                continue
            if end < 0 or here + end + 1 >= stop:
                return
            begun, here, chunk = True, here + end + 1, chunk[end + 1 :]
        if at < stop:
            yield chunk
            continue
        end = chunk.find(b"\n", max(stop - 1 - here, 0))
        yield chunk if end < 0 else chunk[: end + 1]
        if end >= 0:
            return
    if at < stop and piece != WHOLE:
        raise UnreadableFile(f"{name}: {SHORTER}")
