"""The table of metrics in SQLite."""

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile

from transforms.storage.rows import MetricRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteMetrics"]


class SqliteMetrics(Database):
    """See `Metrics`."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._upsert("metrics", ("series", "window"), rows)

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""
        where = "metrics WHERE series = ? AND window = ?"
        return [row for each in wanted for row in self._select(MetricRow, where, each)]

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window."""
        # Not by substr and length, which stop at a NUL.
        rows = self._scan(MetricRow, "metrics", ("series", "window"), (prefix, -(2**63)))
        return takewhile(lambda row: row.series.startswith(prefix), rows)
