"""What the job that reads a queue says beside it: that there is one, and what it has acknowledged.

The file `PATH-job` is the job's alone. It holds a lock of it as long as it lives, which the system takes from it when
it dies. What it has acknowledged is durable in its store before it stands here, so that whoever appends may delete up
to there without opening the store. The file may be behind, lost or torn: then more is kept.
"""

import errno
import fcntl
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from transforms.errors import NotStarted
from transforms.events.queue.file import NoQueue
from transforms.storage.acknowledged import Ids, Range

__all__ = ["Mark", "QueueHeld", "hold_queue", "mark_path", "read_mark", "write_mark"]

#: How long a job waits for one that is just dying, in seconds.
DYING_SECONDS = 3.0
_LOOK_SECONDS = 0.05
#: Ranges of ids that are noted; those beyond count as not acknowledged.
_RANGES = 1_000
#: The checksum stands before the rest, in eight digits.
_SUM = 8
#: A reader may come while a mark is being written.
_TRIES = 5
_LONGEST = 256 * 1024


class QueueHeld(NotStarted):
    """Another job reads the queue; the text says which."""


class Mark(msgspec.Struct, frozen=True):
    """What a job has acknowledged of a queue. `process` is its id."""

    queue: str
    process: int
    ranges: tuple[Range, ...] = ()

    @property
    def acknowledged(self) -> Ids:
        """The ids."""
        return Ids(self.ranges)


def mark_path(path: Path) -> Path:
    """The file beside a queue."""
    return Path(f"{path}-job")


@contextmanager
def hold_queue(path: Path, *, patience: float | None = None) -> Iterator[None]:
    """Be the one job that reads a queue, as long as the context lasts. `patience`: seconds for one that is dying.

    Raises:
      QueueHeld: another process is.
      NoQueue: the folder cannot be written.
    """
    try:
        file = os.open(mark_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise NoQueue(f"the queue {path} cannot be read by a job: {mark_path(path)}: {error.strerror}") from error
    try:
        until = time.monotonic() + (DYING_SECONDS if patience is None else patience)
        while not _is_locked(file):
            if time.monotonic() >= until:
                found = read_mark(path)
                whose = f" (process {found.process})" if found is not None else ""
                raise QueueHeld(f"another job{whose} reads the queue {path}: stop it first")
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(file)


def write_mark(path: Path, queue: str, acknowledged: Ids) -> None:
    """Say what is acknowledged, and by this process; only the job that holds the queue may.

    Raises:
      OSError: it cannot be written.
    """
    said = msgspec.json.encode(Mark(queue, os.getpid(), tuple(acknowledged.ranges()[:_RANGES])))
    file = os.open(mark_path(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        whole = b"%08x%s\n" % (zlib.crc32(said), said)
        os.pwrite(file, whole, 0)
        os.ftruncate(file, len(whole))
    finally:
        os.close(file)


def read_mark(path: Path) -> Mark | None:
    """What the last job said; None where nothing that can be read stands there."""
    for _ in range(_TRIES):
        try:
            found = mark_path(path).read_bytes()[:_LONGEST]
        except OSError:
            return None
        said = found[_SUM:].partition(b"\n")[0]
        if said and found[:_SUM] == b"%08x" % zlib.crc32(said):
            return msgspec.json.decode(said, type=Mark)
    return None


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
