"""Recommendations in SQLite."""

from collections.abc import Sequence

import msgspec

from transforms.storage.rows import RecommendationRow, RecommendationRun
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteRecommendations"]

_Products = tuple[tuple[str, float, int], ...]


class SqliteRecommendations(Database):
    """See `Recommendations`."""

    def write_recommendations(self, rows: Sequence[RecommendationRow]) -> None:
        """Write lists of a run."""
        encoded = [(row.made, row.name, msgspec.json.encode(row.products)) for row in rows]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO recommendations VALUES (?, ?, ?)", encoded)

    def publish_recommendations(self, run: RecommendationRun) -> bool:
        """Have readers follow a run."""
        with self._transaction() as connection:
            newest = run.after(self.read_recommendation_run())
            if newest is None:
                return False
            connection.execute("INSERT OR REPLACE INTO recommended VALUES (1, ?)", (msgspec.json.encode(newest),))
            connection.execute("DELETE FROM recommendations WHERE made < ? AND made != ?", (newest.made, newest.before))
        return True

    def read_recommendation_run(self) -> RecommendationRun | None:
        """The run to follow."""
        found = self._query("SELECT recommended FROM recommended WHERE one = 1")
        return msgspec.json.decode(found[0][0], type=RecommendationRun) if found else None

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]:
        """Lists of a run."""
        marks = ", ".join("?" * len(names))
        sql = f"SELECT name, products FROM recommendations WHERE made = ? AND name IN ({marks})"
        return {
            name: RecommendationRow(made, name, msgspec.json.decode(products, type=_Products))
            for name, products in self._query(sql, (made, *names))
        }
