"""The ledger of sends and refusals."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Protocol

from transforms.storage.rows import LedgerRow

__all__ = ["MAILBOX_CLAIM", "Ledger", "newest_decisions"]

#: How the user begins of a row that is no send: a courier claims a mailbox, so that it gets a mail once.
MAILBOX_CLAIM = "\0mailbox:"


class Ledger(Protocol):
    """Each send, from its claim on, and each refusal."""

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Try to claim each send; returns by send id None if this call made the claim, else the row that was there.

        Atomic for each row: of two claims of one send, one gets None.
        """

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows, each as it was read, by others of the same sends; returns the rows that this call wrote.

        Atomic for each row: one that has changed since it was read, or is gone, is left alone.
        """

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest `decided_at` first, at most `limit`."""

    def mailbox_claims_of(self, sends: Sequence[str]) -> Iterator[LedgerRow]:
        """The claims of mailboxes (see `MAILBOX_CLAIM`) that were made for any of these sends.

        SQLite has an index for it. Bigtable reads all such claims.
        """

    def delete_mailbox_claims(self, sends: Sequence[str]) -> None:
        """Delete these claims."""

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""

    def scan_leased(self) -> Iterator[LedgerRow]:
        """Every send with a lease, in any order: claims, and those that lapsed and of which nobody was told yet.

        Stores look through the ledger by themselves: there are few, among all that was ever sent.
        """


def newest_decisions(rows: Iterable[LedgerRow], limit: int | None) -> list[LedgerRow]:
    """A user's sends, newest decision first, at most `limit`: no more are held in memory."""

    def order(row: LedgerRow) -> tuple[int, str]:
        return -row.decided_at, row.send

    return sorted(rows, key=order) if limit is None else nsmallest(limit, rows, key=order)
