"""A folder for one piece of work among the temporary files, which no end of its process leaves there for good.

A process that is killed removes nothing. So each folder has a file that its process holds a lock on, which the system
lets go however a process ends; the next process that asks for a folder removes those whose lock nobody holds.
"""

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

__all__ = ["remove_folders", "scratch_folder"]

#: How the names of folders begin: those that somebody may remove, and those that are not locked yet.
_PREFIX, _UNLOCKED = "todoke-", ".todoke-"
_LOCK, _CONTENT = "lock", "scratch"
#: How long a folder may be without its lock, in seconds; it takes a moment.
_LONG = 3_600.0
#: Those of this process, by any of its threads.
_open: set[Path] = set()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, which is removed at the end with what is in it.

    Raises:
      OSError: there is no room for it.
    """
    _remove_left(Path(tempfile.gettempdir()), os.getpid())
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED))
    folder = made.with_name(made.name.removeprefix("."))
    _open.add(folder)
    try:
        with _held(made / _LOCK):
            try:
                made.rename(folder)  # only now may others look whether its lock is held
                (folder / _CONTENT).mkdir()
                yield folder / _CONTENT
            finally:
                shutil.rmtree(folder if folder.exists() else made)
    finally:
        _open.discard(folder)


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _is_locked(file)
        os.write(file, _machine())
        yield
    finally:
        os.close(file)


def remove_folders() -> None:
    """Remove those of this process, since it ends now, whatever its other threads do.

    What a thread goes on writing is tried again some times; the next process removes what may stay after them.
    """
    for _ in range(20):
        there = [made for folder in [*_open] for made in (folder, _unlocked(folder)) if made.exists()]
        for made in there:
            shutil.rmtree(made, ignore_errors=True)
        if not there:
            return


def _unlocked(folder: Path) -> Path:
    """What it is called until it is locked."""
    return folder.with_name(f".{folder.name}")


@cache
def _remove_left(place: Path, process: int) -> None:  # noqa: ARG001 - once in each process, a forked one too
    """Remove folders whose process is gone: of this user, and of this machine, whose locks can be seen."""
    for made in place.glob(f"{_UNLOCKED}*"):
        with suppress(OSError):
            found = made.stat()
            if found.st_uid == os.getuid() and found.st_mtime < time.time() - _LONG:
                shutil.rmtree(made)
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # it is of another user, or was removed meanwhile
            file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                own = os.fstat(file).st_uid == os.getuid() and os.read(file, 1024) == _machine()
                if own and _is_locked(file):
                    shutil.rmtree(lock.parent)
            finally:
                os.close(file)


def _machine() -> bytes:
    return socket.gethostname().encode()


def _is_locked(file: int) -> bool:
    """Lock a file, if nobody has; False too where files cannot be locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
