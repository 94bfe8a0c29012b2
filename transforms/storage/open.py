"""Stores by their URL."""

from json import dumps
from pathlib import Path

from transforms.storage.reader import Lists, Reader
from transforms.storage.store import NoStore, Store, StoreError

__all__ = ["open_reader", "open_store", "parse_store"]


def parse_store(url: str) -> tuple[str, str]:
    """The kind of store and its place: (`sqlite`, PATH) or (`bigtable`, PROJECT/INSTANCE).

    Raises:
      ValueError: the URL names no store.
    """
    kind, _, place = url.partition(":")
    project, _, instance = place.partition("/")
    if (kind == "sqlite" and place) or (kind == "bigtable" and project and instance and "/" not in instance):
        return kind, place
    shown = url.rpartition("@")[2]  # what stands before may be a password
    raise ValueError(f"expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found {dumps(shown)}")


def open_store(url: str, *, create: bool = True, durable: bool = False) -> Store:
    """Open a store.

    Args:
      url: as `parse_store` reads it.
      create: make tables and files that are missing; without it a SQLite file that is missing or empty is an error.
      durable: what is written outlasts loss of power, too; in SQLite each transaction then waits for the disk. Bigtable
        is so anyway.

    Raises:
      ValueError: the URL names no store.
      NoStore: it cannot be opened.
    """
    kind, place = parse_store(url)
    try:
        return _open(kind, place, create=create, durable=durable)
    except StoreError as error:
        raise NoStore(str(error)) from error


def open_reader(url: str, *, patience: float | None = None) -> Reader:
    """Open a store for reading alone: nothing is made or changed.

    Args:
      url: as `parse_store` reads it.
      patience: seconds that a call to Bigtable may take, which then is tried once; default: as long as for a job.

    Raises:
      ValueError: the URL names no store.
      OlderStore: it must be opened by `open_store` first, which brings it up to date.
      NoStore: it cannot be opened.
    """
    kind, place = parse_store(url)
    try:
        return Reader(_open_lists(kind, place, patience))
    except NoStore:
        raise
    except StoreError as error:
        raise NoStore(str(error)) from error


def _open_lists(kind: str, place: str, patience: float | None) -> Lists:
    if kind == "bigtable":
        from transforms.storage.bigtable.lists import BigtableLists  # noqa: PLC0415 - a slow import

        project, _, instance = place.partition("/")
        if patience is None:
            return BigtableLists(project, instance)
        return BigtableLists(project, instance, timeout=patience, tries=1)
    from transforms.storage.sqlite.lists import SqliteLists  # noqa: PLC0415 - only what is asked for is imported

    return SqliteLists(place)


def _open(kind: str, place: str, *, create: bool, durable: bool) -> Store:
    if kind == "bigtable":
        from transforms.storage.bigtable.store import BigtableStore  # noqa: PLC0415 - a slow import

        project, _, instance = place.partition("/")
        return BigtableStore(project, instance, create=create)
    from transforms.storage.sqlite.store import SqliteStore  # noqa: PLC0415 - only what is asked for is imported

    try:
        if not create and not Path(place).exists():
            raise StoreError(f"there is no file {place}")
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder of {place}: {error}") from error
    return SqliteStore(place, create=create, durable=durable)
