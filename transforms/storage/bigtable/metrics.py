"""The table of metrics in Bigtable."""

from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, records
from transforms.storage.rows import MetricRow

__all__ = ["BigtableMetrics"]

#: The bounds of a row's number.
_LEAST, _MOST = -(2**63), 2**63 - 1
#: Who adds reads first. Each step of a job has a connection of its own, and several add to one series.
_ADDING = Lock()


class BigtableMetrics(Database):
    """See `Metrics`."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._write("metrics", {keys.metric_key(row.series, row.window): (0, row) for row in rows})

    def add_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Add to the counts of windows: they are read, added to and written whole, which is safe to try again.

        Bigtable's own addition is not safe: after a lost answer nobody knows whether it counted.
        """
        counts: Counter[tuple[str, int]] = Counter()
        for row in rows:
            counts[row.series, row.window] += row.count
        with _ADDING:
            standing = self._tables.read("metrics", [keys.metric_key(*each) for each in counts])
            for row in records(MetricRow, standing.values()):
                counts[row.series, row.window] += row.count
            self.write_metrics([MetricRow(*key, max(_LEAST, min(count, _MOST))) for key, count in counts.items()])

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window; all windows are read."""
        rows = records(MetricRow, self._scan("metrics", keys.metrics_of(prefix)))
        return (row for row in rows if since is None or row.window >= since)
