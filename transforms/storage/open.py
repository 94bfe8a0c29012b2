"""Stores by their URL."""

from pathlib import Path

from transforms.storage.store import Store, StoreError

__all__ = ["open_store"]


def open_store(url: str, *, create: bool = True) -> Store:
    """Open `sqlite:PATH` or `bigtable:PROJECT/INSTANCE`.

    Args:
      url: which store.
      create: make tables and files that are missing; without it a missing SQLite file is an error.

    Raises:
      ValueError: the URL names no store.
      StoreError: it cannot be opened.
    """
    kind, _, place = url.partition(":")
    if kind == "sqlite" and place:
        from transforms.storage.sqlite import SqliteStore  # noqa: PLC0415 - only what is asked for is imported

        if not create and not Path(place).exists():
            raise StoreError(f"there is no file {place}")
        try:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder of {place}: {error}") from error
        return SqliteStore(place)
    project, _, instance = place.partition("/")
    if kind == "bigtable" and project and instance and "/" not in instance:
        from transforms.storage.bigtable import BigtableStore  # noqa: PLC0415 - a slow import

        return BigtableStore(project, instance, create=create)
    raise ValueError(f"expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found {url!r}")
