"""What is recommended: lists of products, and which run made those that hold."""

from collections.abc import Sequence
from typing import Protocol

from transforms.storage.rows import RecommendationRow, RecommendationRun

__all__ = ["Recommendations"]


class Recommendations(Protocol):
    """Lists by the run that made them. Readers follow one run, so that nobody sees half of another."""

    def write_recommendations(self, rows: Sequence[RecommendationRow]) -> None:
        """Write lists of a run, which nobody reads until it is published."""

    def publish_recommendations(self, run: RecommendationRun) -> bool:
        """Have readers follow a run whose lists are all written; False where they follow one that was made later.

        Lists of older runs are deleted, but for the run that was followed until now: whoever looked which one it is a
        moment ago still reads it.
        """

    def read_recommendation_run(self) -> RecommendationRun | None:
        """The run to follow; None where there has been none."""

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]:
        """Those of a run's lists that there are, by name."""
