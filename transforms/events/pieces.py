"""Pieces of files, so that several workers read a large one: lines of JSON and blocks of Avro by bytes, Parquet by its
groups of rows.

What is gzipped has one piece: only its beginning tells how to read on.
"""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.events.sources import PARQUET

__all__ = ["PIECE_BYTES", "SHORTER", "WHOLE", "FilePiece", "pieces_of_file"]

#: Half-open: bytes of lines or blocks, or groups of rows. A line is of the piece in which it begins, a block of that in
#: which the mark before it begins.
FilePiece = tuple[int, int]
WHOLE: FilePiece = (0, 1 << 62)
#: About how much of a file a piece is, as it lies there; of Parquet, before it was compressed.
PIECE_BYTES = 32 << 20
#: What is said of a file that has lost a piece.
SHORTER = "is shorter than when it was divided: nobody may change it while it is read"


def pieces_of_file(file: BinaryIO, name: str, size: int, most: int = PIECE_BYTES) -> Iterator[FilePiece]:
    """The pieces of an open, seekable file, which together are the file.

    Args:
      file: of Parquet: its end is read.
      name: tells its kind.
      size: of the file, in bytes.
      most: how large a piece may be; a group of rows is never divided.
    """
    if name.endswith(".gz"):
        yield WHOLE
    elif name.endswith(PARQUET):
        yield from _groups(file, most)
    elif size <= most:
        yield WHOLE
    else:
        yield from ((start, min(start + most, size)) for start in range(0, size, most))


def _groups(file: BinaryIO, most: int) -> Iterator[FilePiece]:
    try:
        groups = pq.read_metadata(file)
    except (pa.ArrowException, OSError, RecursionError):  # whoever reads it says what is wrong
        yield WHOLE
        return
    first, held = 0, 0
    for number in range(groups.num_row_groups):
        bytes_of = groups.row_group(number).total_byte_size
        if held and held + bytes_of > most:
            yield first, number
            first, held = number, 0
        held += bytes_of
    yield (first, groups.num_row_groups) if groups.num_row_groups else WHOLE
