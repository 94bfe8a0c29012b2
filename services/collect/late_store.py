"""A store that may be away: it is opened when it is needed, and the service lives without it."""

import threading

from transforms.storage.open import open_store, parse_store
from transforms.storage.store import Store

__all__ = ["LateStore"]


class LateStore:
    """Safe for threads.

    Args:
      url: of the store.

    Raises:
      ValueError: the URL names no store.
    """

    def __init__(self, url: str) -> None:
        self._kind, _ = parse_store(url)
        self._url = url
        self._lock = threading.Lock()
        self._opened: Store | None = None

    def get(self) -> Store:
        """The store. Tables are made in SQLite alone: in Bigtable that takes rights that the service need not have.

        Raises:
          StoreError: it cannot be opened now.
        """
        with self._lock:
            if self._opened is None:
                self._opened = open_store(self._url, create=self._kind == "sqlite")
            return self._opened

    def close(self) -> None:
        """Close it, if it was opened."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None
