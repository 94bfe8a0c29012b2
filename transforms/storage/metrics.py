"""The table of metrics."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from transforms.storage.rows import MetricRow

__all__ = ["Metrics"]


class Metrics(Protocol):
    """What live jobs count, by series and window."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series that starts with `prefix`, by series and window."""
