"""Files and folders that flags name, looked at before anything is started. Nothing here imports Beam."""

import os
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from transforms.errors import WrongUse
from transforms.events.sources import BigQuery, Files, Source

__all__ = ["check_apart", "check_events", "check_written"]

_PATTERN = "*?[{"


def check_events(source: Source, flag: str = "--events") -> None:
    """Find files that are not there, as far as this machine can say without Beam.

    Raises:
      WrongUse: there is no such file, or it is a folder.
    """
    if isinstance(source, BigQuery) and source.query and "://" not in source.query and not Path(source.query).is_file():
        raise WrongUse(f"{flag}: there is no file {source.query} with a query")
    if not isinstance(source, Files) or "://" in source.pattern:
        return
    place = Path(source.pattern)
    if os.path.isfile(place):  # noqa: PTH113 - a pattern may be longer than a name
        return
    if any(sign in source.pattern for sign in _PATTERN):
        plain = place
        while any(sign in str(plain) for sign in _PATTERN):
            plain = plain.parent
        if not plain.is_dir():
            raise WrongUse(f"{flag}: there is no folder {plain}")
    elif place.is_dir():
        raise WrongUse(f"{flag}: {place} is a folder: name its files, such as '{place}/*.jsonl'")
    elif not place.exists():
        raise WrongUse(f"{flag}: there is no file {place}")


def check_written(flag: str, place: str, *, folder: bool = False) -> None:
    """Find what cannot be written: a file, or a folder and what will be in it. Folders of an outbox are made.

    Raises:
      WrongUse: it cannot.
    """
    path = Path(place)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long
        raise WrongUse(f"{flag}: {place} cannot be made: {error.strerror}") from error
    if path.exists() and path.is_dir() is not folder:
        raise WrongUse(f"{flag}: {place} is {'a file: name a folder' if folder else 'a folder: name a file'}")
    standing = path
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    if standing != path and not standing.is_dir():
        raise WrongUse(f"{flag}: {standing} is a file, so that {place} cannot be made")
    made = [each for each in (path, *path.parents) if not each.exists()] if folder else []
    try:
        for each in reversed(made):
            each.mkdir()
        for each in made:  # a refused run leaves nothing behind
            each.rmdir()
    except OSError as error:
        raise WrongUse(f"{flag}: {place} cannot be made: {error.strerror}") from error
    if not os.access(standing, os.W_OK):
        raise WrongUse(f"{flag}: {place} cannot be written: permission denied")


def check_apart(written: Iterable[tuple[str, str | None]], read: Iterable[tuple[str, str | None]]) -> None:
    """Find a file that would be written over what is read, or over another that is written.

    Args:
      written: files by their flags; what has `*` in it is many, and passed over, as is what is elsewhere.
      read: files, patterns of them and stores by their flags; folders are passed over.

    Raises:
      WrongUse: there is one.
    """
    taken = {file: flag for flag, place in read if place is not None for file in _files(place)}
    for flag, place in written:
        if place is None or ":" in place or "*" in place:
            continue
        file = Path(place).resolve()
        if (other := taken.setdefault(file, flag)) != flag:
            raise WrongUse(f"{flag}: {place} is what {other} names: name another file")


def _files(place: str) -> Iterator[Path]:
    """The files of this machine that a flag names; a store may not be there yet."""
    path = place.removeprefix("sqlite:").removeprefix("queue:").removeprefix("bigquery:")
    # `Path` raises where a name is too long, and globs from a folder only.
    found = [path] if place.startswith("sqlite:") or os.path.exists(path) else glob(path)  # noqa: PTH110, PTH207
    yield from (Path(each).resolve() for each in found if not os.path.isdir(each))  # noqa: PTH112
