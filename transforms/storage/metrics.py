"""The table of metrics."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import MetricRow

__all__ = ["Metrics"]


class Metrics(Protocol):
    """What live jobs count, and runs over files of campaigns, by series and window."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""

    def add_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Add to the counts of windows; a sum beyond 64 bits becomes the greatest or least that they hold.

        Not safe to repeat. SQLite adds whoever else does at the same time; in Bigtable one process may.
        """

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """The counts of every series that starts with `prefix`, by series and window, of windows from `since` on."""
