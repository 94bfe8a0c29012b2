"""The part of a store that couriers use."""

from collections.abc import Sequence
from typing import Protocol

from transforms.storage.rows import (
    EventRow,
    HoldRow,
    LedgerRow,
    RecommendationRow,
    RecommendationRun,
    UserRow,
)

__all__ = ["CourierStore"]


class CourierStore(Protocol):
    """See `Store`."""

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends."""

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write outcomes."""

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that have not changed."""

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:
        """Rows of users."""

    def read_hold(self) -> HoldRow | None:
        """What is held back."""

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events."""

    def read_recommendation_run(self) -> RecommendationRun | None:
        """Which lists hold."""

    def read_recommendations(self, made: int, names: Sequence[str]) -> dict[str, RecommendationRow]:
        """Lists of a run."""
