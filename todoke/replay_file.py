"""Messages as lines that are added to a file, a pipe or a device; a run over files reads the same messages."""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from todoke.control import ControlFailed, Publisher
from transforms.errors import WrongUse
from transforms.events.decode import BOM
from transforms.events.files import UnreadableFile, messages_of_file

__all__ = ["is_stdout", "line_of", "open_file"]

#: What a SQLite file begins with (https://www.sqlite.org/fileformat.html).
_SQLITE = b"SQLite format 3\x00"


class _Identified(msgspec.Struct, rename="camel"):
    message_id: Any = None


def line_of(payload: bytes) -> bytes | None:
    """The line, with its end, that a run reads as this message; None if there is none.

    A run takes a byte order mark and a carriage return from a line, so these are written twice. It looks at how a file
    begins, so what begins like another kind of file comes after a blank line. Line breaks of JSON become spaces where
    the message has its own id: one without is known by its bytes.
    """
    message = payload.replace(b"\n", b" ") if _has_own_id(payload) else payload
    line = (BOM if message.startswith(BOM) else b"") + message + (b"\r" if message.endswith(b"\r") else b"") + b"\n"
    for written in (line, b"\n" + line):
        if _read_back(written) == [message]:
            return written
    return None


def _has_own_id(payload: bytes) -> bool:
    try:
        said = msgspec.json.decode(payload.removeprefix(BOM), type=_Identified).message_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(said, str | int) and not isinstance(said, bool) and said != ""


def _read_back(line: bytes) -> list[bytes]:
    try:
        return list(messages_of_file(io.BytesIO(line), ""))
    except UnreadableFile:
        return []


@contextmanager
def open_file(place: str) -> Iterator[Publisher]:
    """Open a file, a pipe or a device to which lines are added.

    Raises:
      WrongUse: it cannot be opened, or is a store.
    """
    try:
        is_special = os.path.exists(place) and not os.path.isfile(place)  # noqa: PTH110, PTH113 - what its name leads to
        flags = os.O_WRONLY if is_special else os.O_RDWR | os.O_APPEND | os.O_CREAT
        file = os.open(place, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise WrongUse(f"--to: {place}: {error.strerror}") from error
    try:
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
        if is_file:
            _end_line(file, place)
        yield partial(_add_lines, file, place, is_file)
    finally:
        os.close(file)


def is_stdout(place: str) -> bool:
    """Whether a place is where this process prints: then what it prints would stand among the messages."""
    try:
        return os.path.samestat(os.stat(place), os.fstat(1))  # noqa: PTH116 - what its name leads to
    except OSError:
        return False


def _end_line(file: int, place: str) -> None:
    """End the last line of a file that was cut off, so that the first message does not become part of it.

    Raises:
      WrongUse: it is a store.
      ControlFailed: the disk is full.
    """
    if os.pread(file, len(_SQLITE), 0) == _SQLITE:
        raise WrongUse(f"--to: {place} is a SQLite file; name another one")
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        _add_lines(file, place, True, [b"\n"])


def _add_lines(file: int, place: str, is_file: bool, lines: Sequence[bytes]) -> None:
    whole, taken = b"".join(lines), 0
    try:
        try:
            while taken < len(whole):
                taken += os.write(file, whole[taken:])
        finally:
            if is_file:  # nothing else can be flushed
                os.fsync(file)
    except OSError as error:
        said = f"the messages cannot be written: {place}: {error.strerror}"
        raise ControlFailed(said, range(_count_whole(lines, taken))) from error


def _count_whole(lines: Sequence[bytes], taken: int) -> int:
    """How many of the first lines have all their bytes within the first `taken`."""
    for count, line in enumerate(lines):
        taken -= len(line)
        if taken < 0:
            return count
    return len(lines)
