"""The definitions that a service reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transforms.campaigns.load import read_texts
from transforms.campaigns.release import PointerError, read_release
from transforms.campaigns.watcher import DefinitionsWatcher
from transforms.errors import WrongUse

__all__ = ["watched_definitions"]


@contextmanager
def watched_definitions(place: str) -> Iterator[DefinitionsWatcher]:
    """The definitions of a file or a folder, as they are now; or those that a pointer names, kept up to date.

    A pointer in a bucket is read where the bucket is mounted: services bring no library for buckets.

    Raises:
      WrongUse: the place is a URL, or a pointer that cannot be read.
      DefinitionsError: they cannot be read, or have mistakes.
    """
    if "://" in place:
        raise WrongUse(f"--definitions {place}: name a path; mount the bucket if the definitions are in one")
    if not place.endswith(".json"):
        yield DefinitionsWatcher(read_texts(place))
        return
    try:
        release, _ = read_release(place, _read)
    except PointerError as error:
        raise WrongUse(f"--definitions: {error}") from error
    watcher = DefinitionsWatcher(release, _read)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()


def _read(place: str) -> bytes:
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise PointerError(f"{place} cannot be read: {error}") from error
