"""The table of metrics in Bigtable."""

from collections.abc import Collection, Iterator, Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.rows import MetricRow

__all__ = ["BigtableMetrics"]


class BigtableMetrics(Database):
    """See `Metrics`."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._write("metrics", {keys.metric_key(row.series, row.window): (0, row) for row in rows})

    def read_metrics(self, wanted: Collection[tuple[str, int]]) -> list[MetricRow]:
        """The counts that stand at these series and windows."""
        return list(
            records(MetricRow, self._tables.read("metrics", [keys.metric_key(*each) for each in wanted]).values())
        )

    def scan_metrics(self, prefix: str) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window."""
        return records(MetricRow, self._scan("metrics", keys.metrics_of(prefix)))
