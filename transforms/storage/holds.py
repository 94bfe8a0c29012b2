"""What is held back since a budget is used up."""

from typing import Protocol

from transforms.storage.rows import HoldRow

__all__ = ["Holds"]


class Holds(Protocol):
    """The one row that says which sends wait; Deliver's gate alone asks for it."""

    def read_hold(self) -> HoldRow | None:
        """What is held back, or was last; None if nothing ever was."""

    def write_hold(self, row: HoldRow) -> None:
        """Say what is held back from now on, in place of what was."""
