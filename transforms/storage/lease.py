"""Who works on a store."""

from typing import Protocol

from transforms.storage.rows import LeaseRow

__all__ = ["Lease"]


class Lease(Protocol):
    """The one row that says who works on the store."""

    def read_lease(self) -> LeaseRow | None:
        """Who works on the store, or did; None where nobody has yet."""

    def swap_lease(self, before: LeaseRow | None, after: LeaseRow) -> bool:
        """Write `after` where `before` stands (None: nothing), atomically; whether `after` stands now."""
