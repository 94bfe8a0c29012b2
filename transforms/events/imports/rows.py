"""Files as rows with the line on which each begins: CSV, Parquet, Avro and JSON Lines, plain or gzipped."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.avro import columns_of_avro
from transforms.events.decode import Cause
from transforms.events.files import LONGEST_LINE, UnreadableFile, messages_of_file
from transforms.events.imports.mapping import Csv, Rejected
from transforms.events.plain import quoted
from transforms.events.sources import AVRO, PARQUET

__all__ = ["Row", "read_rows", "rows_of_objects"]

#: Lines of JSON, by the end of a file's name without `.gz`.
_LINES = (".jsonl", ".ndjson", ".json")
_UTF_16 = "UTF-16: say so in the mapping, `csv: {encoding: utf-16}` (utf-16-le, utf-16-be where it has no mark)"
#: How files begin that are no text of bytes, and what to do with them.
_NO_TEXT = {
    b"\x1f\x8b": "a gzip file: its name must end in .gz",
    b"PK\x03\x04": "a zip file, as workbooks of Excel are: save it as CSV, or unpack it",
    b"PAR1": "a Parquet file: its name must end in .parquet",
    b"Obj\x01": "an Avro file: its name must end in .avro",
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
}
#: A line before the header by which Excel knows the delimiter.
_SEPARATOR = re.compile(r"\ufeff?sep=.\s*")
#: What several databases write for a null.
_NULL = "\\N"
#: A quote that nobody closes takes in so much of what follows, and no more.
_LONGEST_CELL = 1 << 20


class Row(msgspec.Struct, frozen=True):
    """A row: where it begins, its cells by column, and what was read.

    Where it begins is a line of text; in Parquet, Avro and JSON Lines it is the number of the row, from 1.

    One that is no row has no cells, but `wrong`.
    """

    line: int
    cells: dict[str, Any]
    raw: bytes
    wrong: Rejected | None = None


def read_rows(file: BinaryIO, name: str, text: Csv) -> tuple[list[str] | None, Iterator[Row]]:
    """The columns of an open, seekable file, as far as they can be known beforehand, and its rows.

    Raises:
      UnreadableFile: it is no such file; from the iterator too.
    """
    stem = name.removesuffix(".gz")
    if name.endswith((*PARQUET, *AVRO)) or stem.endswith(_LINES):
        return _columns(file, name), rows_of_objects(messages_of_file(file, name))
    lines = _Lines(file, name, text)
    rows = _delimited(lines, text)
    header = next(rows, None)
    if header is None:
        return [], iter(())
    if header.wrong is not None:
        raise UnreadableFile(
            f"{name}: its first line names no columns: {header.wrong.detail}; say its `encoding` if it has another"
        )
    return lines.columns, rows


def _columns(file: BinaryIO, name: str) -> list[str] | None:
    """The columns of a file that names them at its beginning or end, and need not be unpacked for that."""
    columns = None
    try:
        if name.endswith(".parquet"):
            columns = pq.ParquetFile(file).schema_arrow.names
        elif name.endswith(".avro"):
            columns = columns_of_avro(file)
    except (pa.ArrowException, OSError) as error:
        kind = "Avro" if name.endswith(".avro") else "Parquet"
        raise UnreadableFile(f"{name}: is no whole {kind} file: {error}") from error
    file.seek(0)
    return columns


def rows_of_objects(payloads: Iterable[bytes]) -> Iterator[Row]:
    """Rows of JSON objects, each with its number."""
    for number, payload in enumerate(payloads, 1):
        try:
            payload.decode()
            cells = msgspec.json.decode(payload, type=dict[str, Any])
        except UnicodeDecodeError as error:
            yield Row(number, {}, payload, Rejected(Cause.NOT_UTF8, str(error)))
        except (msgspec.MsgspecError, RecursionError) as error:
            yield Row(number, {}, payload, Rejected(Cause.NOT_JSON, str(error)))
        else:
            yield Row(number, cells, payload)


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Name a file whose gzip data are not whole."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"{name}: is damaged or cut off: {error}") from error


def _check_text(file: BinaryIO | gzip.GzipFile, name: str, encoding: str) -> None:
    """Find what is no text, or text of another encoding than the mapping says."""
    with _whole(name):
        head = file.read(1_024)
        file.seek(0)
    if "16" in encoding or "32" in encoding:
        return
    for mark, what in _NO_TEXT.items():
        if head.startswith(mark) and (b"\0" in head or not mark.isascii()):
            raise UnreadableFile(f"{name}: begins like {what}")
    if b"\0" in head[:2]:
        raise UnreadableFile(f"{name}: begins like {_UTF_16}")


class _Lines:
    """The lines of a file for the reader of rows, which may be part of a cell; it counts them, and keeps those of a
    row. What has no end is given in pieces."""

    def __init__(self, file: BinaryIO, name: str, text: Csv) -> None:
        self.count = 0
        self.taken: list[str] = []
        #: As the header has them, once it was read.
        self.columns: list[str] = []
        self._name = name
        opened = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
        try:
            encoding = codecs.lookup(text.encoding).name
            if encoding == "utf-8":
                encoding = "utf-8-sig"  # without the mark that Excel writes
            self._text = io.TextIOWrapper(opened, encoding, errors="surrogateescape", newline="")
        except (LookupError, ValueError):
            said = quoted(text.encoding)
            raise UnreadableFile(
                f"{name}: {said} is no encoding of text; name one that Python knows, such as utf-8 or cp1252"
            ) from None
        _check_text(opened, name, encoding)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            with _whole(self._name):
                line = self._text.readline(LONGEST_LINE)
        except UnicodeError as error:  # of an encoding that cannot pass over what it does not know
            raise UnreadableFile(f"{self._name}: cannot be read: {error}; say its `encoding`") from error
        if not line:
            raise StopIteration
        self.count += line.endswith(("\n", "\r")) or len(line) < LONGEST_LINE
        self.taken.append(line)
        return line

    def begin(self) -> int:
        """Forget what was taken; the number of the next line."""
        self.taken = []
        return self.count + 1


def _delimited(lines: _Lines, text: Csv) -> Iterator[Row]:
    """The header, whose cells are its columns, and then the rows."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=text.delimiter, quotechar=text.quote, strict=True)
    columns: list[str] = []
    while True:
        line, wrong, cells = lines.begin(), None, list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            quote = "nobody closes a quote" if str(error) == "unexpected end of data" else str(error)
            wrong = Rejected(Cause.INVALID, f"not a row: {quote}")
        raw = "".join(lines.taken)
        if wrong is None and (not raw.strip() or (not columns and _SEPARATOR.fullmatch(raw))):
            continue
        try:
            payload = raw.encode()
        except UnicodeEncodeError:
            payload = raw.encode(errors="surrogateescape") if _escapes(raw) else raw.encode(errors="replace")
            wrong = wrong or Rejected(Cause.NOT_UTF8, f"bytes that are no {text.encoding}")
        if wrong is None and columns and len(cells) != len(columns):
            wrong = Rejected(Cause.INVALID, f"{len(cells)} cells; there are {len(columns)} columns")
        if not columns:
            columns = lines.columns = [cell.strip() for cell in cells]
        said = ("" if cell == _NULL else cell for cell in map(str.strip, cells))
        yield Row(line, {} if wrong else dict(zip(columns, said, strict=True)), payload, wrong)


def _escapes(raw: str) -> bool:
    """Whether all half surrogates of a text stand for bytes."""
    return all("\udc80" <= letter <= "\udcff" for letter in raw if "\ud800" <= letter <= "\udfff")
