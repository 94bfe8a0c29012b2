"""The part of a store that couriers use, and what stands in its place where there is none."""

from collections.abc import Sequence
from typing import Protocol

from transforms.storage.rows import LedgerRow, UserRow

__all__ = ["CourierStore", "Memory"]


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


class Memory:
    """In place of a store: lets an id out once, as long as the process lives, and knows no users."""

    def __init__(self) -> None:
        self._rows: dict[str, LedgerRow] = {}

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends."""
        standing = {row.send: self._rows.get(row.send) for row in rows}
        self._rows.update({row.send: row for row in rows if standing[row.send] is None})
        return standing

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write outcomes."""
        self._rows.update({row.send: row for row in rows})

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that have not changed."""
        rows = [new for old, new in changes if self._rows.get(old.send) == old]
        self.record(rows)
        return rows

    def read_users(self, users: Sequence[str]) -> dict[str, UserRow]:  # noqa: ARG002
        """Nobody."""
        return {}
