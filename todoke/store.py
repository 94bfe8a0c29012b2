"""The store that a command reads."""

from transforms.errors import WrongUse
from transforms.storage.open import open_store
from transforms.storage.store import Store

__all__ = ["open_asked"]


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
