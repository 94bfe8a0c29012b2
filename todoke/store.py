"""The store that a command reads."""

from collections.abc import Iterator
from contextlib import contextmanager

from transforms.errors import WrongUse
from transforms.storage.open import open_reader, open_store
from transforms.storage.reader import Reader
from transforms.storage.rows import UserRow
from transforms.storage.store import NoStore, OlderStore, Store
from transforms.views.users import UnknownUser, known_user

__all__ = ["asked_row", "open_asked", "open_asked_reader"]


def open_asked(url: str) -> Store:
    """Open the store that `--store` names, which must exist.

    Raises:
      WrongUse: it is no URL of a store.
      StoreError: there is no such store.
    """
    try:
        return open_store(url, create=False)
    except ValueError as error:
        raise WrongUse(f"--store: {error}") from error


@contextmanager
def open_asked_reader(url: str) -> Iterator[Reader]:
    """Open what `--store` names for reading alone; a file of an older version is brought up to date first.

    Raises:
      WrongUse: the URL is none.
      NoStore: there is no such store.
    """
    try:
        reader = open_reader(url)
    except OlderStore as older:
        try:
            open_asked(url).close()
        except NoStore as error:
            raise NoStore(f"{older}. Run this once where it may be written, to bring it up to date: {error}") from error
        reader = open_reader(url)
    except ValueError as error:
        raise WrongUse(f"--store: {error}") from error
    try:
        yield reader
    finally:
        reader.close()


def asked_row(reader: Reader, user: str) -> UserRow:
    """The row of the user that a command names.

    Raises:
      WrongUse: the store knows no such user; the message names the visitor, or the user, who has that name.
      StoreError: the store cannot be read.
    """
    try:
        return known_user(reader, user)
    except UnknownUser as error:
        raise WrongUse(str(error)) from error
