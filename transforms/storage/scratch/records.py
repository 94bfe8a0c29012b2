"""Records in the order of their keys, of which few are in memory and the rest lies on disk.

An external merge sort: what is held is sorted and written as a run when it is too much, and runs are merged as they are
read. The file has no name, so that nothing is left of it however the process ends.
"""

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO

import msgspec

__all__ = ["HELD", "NoRoom", "Scratch"]

#: How much is held before it is written, in bytes.
HELD = 16 << 20
#: About what Python needs for a record beside its bytes.
_BESIDE = 160
#: So much of each run is read at once, in bytes.
_BLOCK = 16 << 10
#: A block begins with its length, in so many bytes.
_LENGTH = 8

Record = tuple[str, bytes]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class NoRoom(OSError):
    """The temporary folder takes no more. The message names it, and says what to do."""

    @classmethod
    def of(cls, error: Exception) -> "NoRoom":
        """Of what was said where it was written; what polars says begins with where it was."""
        said = (error.strerror if isinstance(error, OSError) else None) or str(error).rpartition(": ")[2]
        return cls(
            f"what a run puts aside cannot be written to {tempfile.gettempdir()} ({said}): make room there, or name "
            "another folder in TMPDIR"
        )


class Scratch:
    """Records of a key and data, put in any order and taken sorted by both, so that what is held and what is written
    cannot be told apart. One thread at a time.

    Args:
      most: how much is held in memory, in bytes; None for `HELD`.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = HELD if most is None else most
        self._begin()

    def _begin(self) -> None:
        self._held: list[Record] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._end = self._appended = 0
        #: Where runs begin and end in the file.
        self._runs: list[tuple[int, int]] = []

    def put(self, key: str, data: bytes) -> None:
        """Add a record.

        Raises:
          NoRoom: it cannot be written.
        """
        self._held.append((key, data))
        self._size += len(key) + len(data) + _BESIDE
        if self._size >= self._most:
            self._write_run()

    def append(self, data: bytes) -> None:
        """Add a record after all that were added so.

        Raises:
          NoRoom: it cannot be written.
        """
        self.put(f"{self._appended:016x}", data)
        self._appended += 1

    def take(self) -> Iterator[Record]:
        """All records, in order; from the first on there are none any more."""
        held, runs, file = self._held, self._runs, self._file
        self._begin()
        held.sort()
        if file is None:
            yield from held
            return
        with file:
            number = file.fileno()
            yield from heapq.merge(held, *(_read(number, *run) for run in runs))

    def close(self) -> None:
        """Forget everything."""
        if self._file is not None:
            with suppress(OSError):  # what could not be written before cannot be now
                self._file.close()
        self._begin()

    def _write_run(self) -> None:
        self._held.sort()
        begun = self._end
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="todoke-")  # noqa: SIM115 - open until all is taken
            for block in _blocks(self._held):
                self._file.write(len(block).to_bytes(_LENGTH, "big") + block)
                self._end += _LENGTH + len(block)
            self._file.flush()
        except OSError as error:
            raise NoRoom.of(error) from error
        self._runs.append((begun, self._end))
        self._held, self._size = [], 0


def _blocks(records: Iterable[Record]) -> Iterator[bytes]:
    some: list[Record] = []
    size = 0
    for record in records:
        some.append(record)
        size += len(record[0]) + len(record[1])
        if size >= _BLOCK:
            yield _encode(some)
            some, size = [], 0
    if some:
        yield _encode(some)


def _read(number: int, place: int, end: int) -> Iterator[Record]:
    """The records of a run in the open file of that number. Beside the file's own position, which others move."""
    while place < end:
        size = int.from_bytes(os.pread(number, _LENGTH, place), "big")
        place += _LENGTH
        yield from _decode(_all_of(number, place, size))
        place += size


def _all_of(number: int, place: int, size: int) -> bytes:
    """So many bytes: one read of a large record may give less."""
    found = os.pread(number, size, place)
    while len(found) < size:
        found += os.pread(number, size - len(found), place + len(found))
    return found
