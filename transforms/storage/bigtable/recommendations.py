"""Recommendations in Bigtable: in the table of runs."""

from collections.abc import Sequence

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import Database, record, records
from transforms.storage.bigtable.tables import KEYS_ONLY
from transforms.storage.rows import RecommendationRow, RecommendationRun

__all__ = ["BigtableRecommendations"]

#: How many keys of old lists are deleted together.
_KEYS_AT_ONCE = 1_000


class BigtableRecommendations(Database):
    """See `Recommendations`."""

    def write_recommendations(self, rows: Sequence[RecommendationRow]) -> None:
        """Write lists of a run."""
        self._write("runs", {keys.recommendation_key(row.made, row.name): (0, row) for row in rows})

    def publish_recommendations(self, run: RecommendationRun) -> bool:
        """Have readers follow a run. Of two that publish at once the one that was made later stands."""
        newest = run.after(self.read_recommendation_run())
        if newest is None:
            return False
        self._write("runs", {keys.RECOMMENDED_KEY: (newest.made // 1000, newest)})
        self._sweep(newest)
        return True

    def _sweep(self, run: RecommendationRun) -> None:
        gone: list[bytes] = []
        for row in self._tables.scan(
            "runs", keys.RECOMMENDATIONS, keys.recommendation_key(run.made, ""), row_filter=KEYS_ONLY
        ):
            if keys.recommendation_made(row.row_key) != run.before:
                gone.append(row.row_key)
            if len(gone) == _KEYS_AT_ONCE:
                self._delete("runs", gone)
                gone = []
        self._delete("runs", gone)

    def read_recommendation_run(self) -> RecommendationRun | None:
        """The run to follow."""
        return next(records(RecommendationRun, self._tables.read("runs", [keys.RECOMMENDED_KEY]).values()), None)

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]:
        """Lists of a run."""
        asked = [keys.recommendation_key(made, name) for name in names]
        found = (record(RecommendationRow, row) for row in self._tables.read("runs", asked).values())
        return {row.name: row for row in found}
