"""Steps of Beam that have a store."""

from typing import ClassVar

import apache_beam as beam
from apache_beam.utils.shared import Shared

from transforms.storage.open import open_store
from transforms.storage.store import Store

__all__ = ["StoreDoFn"]


class StoreDoFn(beam.DoFn):
    """A step that opens a store where it runs. Its copies in one process share one connection, and other steps none.

    Args:
      store: URL of the store.
    """

    #: Whether a store that is missing is made: not by a step that asks what is there, and would find nothing.
    makes_store: ClassVar[bool] = True

    def __init__(self, store: str) -> None:
        self.store = store
        self._shared = Shared()

    def setup(self) -> None:
        """Open the store."""
        self._store: Store = self._shared.acquire(
            lambda: open_store(self.store, create=self.makes_store), tag=self.store
        )
