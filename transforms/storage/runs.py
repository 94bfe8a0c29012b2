"""What the last bounded run left."""

from typing import Protocol

from transforms.storage.rows import RunRow

__all__ = ["Runs"]


class Runs(Protocol):
    """The one row that a bounded run leaves for the next."""

    def read_run(self) -> RunRow | None:
        """What the last bounded run left, or None."""

    def write_run(self, row: RunRow) -> None:
        """Remember a bounded run."""
