"""Who works on a store."""

from typing import Protocol

from transforms.storage.rows import LeaseRow

__all__ = ["Lease"]


class Lease(Protocol):
    """The one row that says who works on the store."""

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store, or did last; None if nobody has."""

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write `after` in place of `before` (None: nothing), atomically; returns whether `after` is there now."""
