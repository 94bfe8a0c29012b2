"""The folder of a `todoke serve`: one process at a time uses it, and what must be kept secret is made there once."""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from todoke.serve.options import ServeOptions
from transforms.errors import NotStarted, WrongUse

__all__ = ["FolderTaken", "held_folder", "keys_place", "made_key", "made_secret"]

#: The source of calls with the key that is made.
SOURCE = "local"
#: How long a serve waits for one that is just dying, in seconds.
DYING_SECONDS = 2.0
_LOOK_SECONDS = 0.05


class FolderTaken(NotStarted):
    """Another serve uses the folder; the text says which."""


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Be the one serve that uses a folder, as long as the context lasts. If it is not there, it is made, and git keeps
    nothing of it: keys and people are in it.

    Raises:
      FolderTaken: another process is.
      WrongUse: it cannot be made or written.
    """
    path = folder / "serve.lock"
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            (folder / ".gitignore").write_text("*\n")  # it stands beside definitions, which are kept in git
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise WrongUse(f"--data: {folder} cannot be used: {error.strerror}") from error
    try:
        until = time.monotonic() + DYING_SECONDS
        while not _is_locked(file):
            if time.monotonic() >= until:
                raise FolderTaken(f"another serve (process {_noted(file)}) uses the folder {folder}: stop it first")
            time.sleep(_LOOK_SECONDS)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def keys_place(options: ServeOptions, environment: Mapping[str, str]) -> tuple[Path | None, str]:
    """The file of write keys, or, if there is none, the keys themselves: what was named, else the environment's, else
    the file in the folder.
    """
    from services.collect.keys import VARIABLE

    if options.keys is not None:
        return Path(options.keys), ""
    if keys := environment.get(VARIABLE, ""):
        return None, keys
    return options.data / "keys.json", ""


def made_key(path: Path) -> str:
    """A write key of a file, which is made with one where it is not there; nobody else of this machine can read it.

    Raises:
      WrongUse: it cannot be made, or is no file of keys.
    """
    from services.collect.keys import read_keys

    said = {SOURCE: {"keys": [secrets.token_hex(16)]}}
    _make(path, msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
    return read_keys(path)[0].keys[0]


def made_secret(path: Path) -> Path:
    """The absolute path of a file with a key that signs, which is made where it is not there.

    Raises:
      WrongUse: it cannot be made.
    """
    _make(path, f"{SOURCE}={secrets.token_hex(32)}\n".encode())
    return path.absolute()


def _make(path: Path, content: bytes) -> None:
    """Make a file whole, or leave what is there."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        part.rename(path)
    except OSError as error:
        raise WrongUse(f"{path} cannot be made: {error.strerror}") from error


def _noted(file: int) -> str:
    return os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
