"""The store that a command is asked about."""

from transforms.errors import WrongUse
from transforms.storage.open import open_store
from transforms.storage.store import Store

__all__ = ["open_asked"]


def open_asked(url: str) -> Store:
    """Open what `--store` names, which must be there.

    Raises:
      WrongUse: the URL is none.
      StoreError: there is no such store.
    """
    try:
        return open_store(url, create=False)
    except ValueError as error:
        raise WrongUse(f"--store: {error}") from error
