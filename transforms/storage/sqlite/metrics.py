"""The table of metrics in SQLite."""

from collections.abc import Iterator, Sequence

from transforms.storage.rows import MetricRow
from transforms.storage.sqlite.database import PAGE, Database, values

__all__ = ["SqliteMetrics"]

#: A sum that 64 bits do not hold would become a float.
_ADD = """
INSERT INTO metrics (series, window, count) VALUES (?, ?, ?) ON CONFLICT (series, window) DO UPDATE SET count = CASE
    WHEN typeof(count + excluded.count) = 'integer' THEN count + excluded.count
    WHEN excluded.count > 0 THEN 9223372036854775807 ELSE -9223372036854775807 - 1 END
"""


class SqliteMetrics(Database):
    """See `Metrics`."""

    def write_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Write the counts of windows whole."""
        self._upsert("metrics", ("series", "window"), rows)

    def add_metrics(self, rows: Sequence[MetricRow]) -> None:
        """Add to the counts of windows."""
        if rows:
            with self._transaction() as connection:
                connection.executemany(_ADD, [values(row) for row in rows])

    def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
        """The counts of every series with a prefix, by series and window, of windows from `since` on."""
        # From one series to the next, so that older windows are not read; not by substr and length, which stop at NUL.
        first, least = -(2**63) if since is None else since, prefix
        while (series := self._first_series(least)) is not None and series.startswith(prefix):
            start = first
            where = "metrics WHERE series = ? AND window >= ? ORDER BY window LIMIT ?"
            while rows := self._select(MetricRow, where, (series, start, PAGE)):
                yield from rows
                start = rows[-1].window + 1
            least = f"{series}\0"

    def _first_series(self, least: str) -> str | None:
        found: str | None = self._query("SELECT min(series) FROM metrics WHERE series >= ?", (least,))[0][0]
        return found
