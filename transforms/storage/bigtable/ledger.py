"""The ledger in Bigtable."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice

import msgspec
from google.cloud.bigtable.data import Mutation, Row, SetCell
from google.cloud.bigtable.data.row_filters import (
    ColumnQualifierRegexFilter,
    RowFilter,
    RowFilterChain,
    RowKeyRegexFilter,
    ValueRegexFilter,
)

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import ROW, Database, cell, cell_of, record, records
from transforms.storage.bigtable.tables import FAMILY, NEWEST, set_cell
from transforms.storage.ledger import MAILBOX_CLAIM, newest_decisions
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.storage.sends import STATES
from transforms.storage.store import StoreError

__all__ = ["BigtableLedger", "Listed"]

#: An entry of a list of sends: campaign, time of the decision, user and id.
Listed = tuple[str, int, str, str]

#: The column that says which call made a claim.
_CLAIM = b"claim"
#: How often a claim may find that the row in its way was deleted meanwhile.
_ROUNDS = 8
#: So many sections of the ledger are looked through side by side.
_SECTIONS_AT_ONCE = 16
#: Records with a lease, of which the record's bytes tell by how many lie between two names: no lease is one byte. In
#: ASCII and `\C`, which stands for any byte, so that it does not matter how Bigtable reads others
#: (https://cloud.google.com/bigtable/docs/using-filters).
_LEASED = RowFilterChain(
    [
        NEWEST,
        ColumnQualifierRegexFilter(ROW),
        ValueRegexFilter(rb"\C*lease\C{3,10}detail\C*"),
    ]
)
#: Claims of mailboxes, by their keys.
_MAILBOXES = RowFilterChain([NEWEST, RowKeyRegexFilter(rb"[0-9a-f]{4}#\$@mailbox:\C*")])


class BigtableLedger(Database):
    """See `Ledger`."""

    _claims: ThreadPoolExecutor

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends; None where this call made the claim, else the row that stood there."""
        token = os.urandom(8)
        standing: dict[str, LedgerRow | None] = {}
        pending: dict[bytes, LedgerRow] = {}
        for row in rows:
            pending.setdefault(keys.ledger_key(row.user, row.send), row)
        self._list(pending.values())
        for _ in range(_ROUNDS):
            calls = {key: self._claims.submit(self._claim, key, row, token) for key, row in pending.items()}
            wait(calls.values())
            taken = [key for key, call in calls.items() if not call.result()]
            standing.update({row.send: None for row in pending.values()})
            for key, found in self._tables.read("ledger", taken).items():
                ours = cell_of(found, _CLAIM) == token
                standing[pending.pop(key).send] = None if ours else record(LedgerRow, found)
            # The row in the way was deleted meanwhile: claim again.
            pending = {key: pending[key] for key in taken if key in pending}
            if not pending:
                return standing
        raise StoreError(f"Bigtable table `ledger`: {len(pending)} claimed rows are deleted again and again")

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""
        self._list(rows)
        self._write("ledger", {keys.ledger_key(row.user, row.send): (0, row) for row in rows})

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that stand as they were read; the new rows that this call wrote."""
        token = os.urandom(8)
        wanted: dict[bytes, tuple[LedgerRow, LedgerRow]] = {}
        for old, new in changes:
            wanted.setdefault(keys.ledger_key(old.user, old.send), (old, new))
        # Compared as records here, and as bytes in Bigtable: an older version may have written the same record as other
        # bytes.
        standing = {
            key: found
            for key, found in self._tables.read("ledger", list(wanted)).items()
            if record(LedgerRow, found) == wanted[key][0]
        }
        self._list(wanted[key][1] for key in standing)
        calls = {
            key: self._claims.submit(self._resolve, key, found, wanted[key][1], token)
            for key, found in standing.items()
        }
        wait(calls.values())
        written = {key for key, call in calls.items() if call.result()}
        missed = self._tables.read("ledger", [key for key in calls if key not in written])
        written.update(key for key, found in missed.items() if cell_of(found, _CLAIM) == token)
        return [new for key, (_, new) in wanted.items() if key in written]

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest decision first."""
        return newest_decisions(records(LedgerRow, self._scan("ledger", keys.ledger_of(user))), limit)

    def mailbox_claims_of(self, sends: Sequence[str]) -> Iterator[LedgerRow]:
        """The claims of mailboxes that were made for any of these sends; their keys are spread by a hash."""
        asked = frozenset(sends)
        rows = self._scan_for(_MAILBOXES) if asked else iter(())
        return (row for row in rows if row.detail in asked and row.user.startswith(MAILBOX_CLAIM))

    def delete_mailbox_claims(self, sends: Sequence[str]) -> None:
        """Delete the claims of mailboxes that were made for any of these sends."""
        claims = self.mailbox_claims_of(sends)
        self._delete("ledger", [keys.ledger_key(row.user, row.send) for row in claims])

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""
        return records(LedgerRow, self._scan("ledger", b""))

    def scan_leased(self) -> Iterator[LedgerRow]:
        """Every send with a lease."""
        return (row for row in self._scan_for(_LEASED) if row.lease)

    def _scan_for(self, row_filter: RowFilter) -> Iterator[LedgerRow]:
        """What passes a filter, in any order: Bigtable looks through several sections side by side, and sends nothing
        else.

        All as one would end in a time-out where nothing passes for long.
        """

        def look(section: tuple[bytes, bytes | None]) -> list[LedgerRow]:
            return list(records(LedgerRow, self._tables.scan("ledger", *section, row_filter=row_filter)))

        sections = iter(self._tables.sections("ledger"))
        while some := list(islice(sections, _SECTIONS_AT_ONCE)):
            for rows in self._claims.map(look, some):
                yield from rows

    def _list(self, rows: Iterable[LedgerRow]) -> None:
        """List sends by their states, before the ledger has them: readers of a list ask the ledger."""
        entries = [
            set_cell(_listed_key(row, row.state), ROW, msgspec.msgpack.encode(_listed(row)), 0)
            for row in rows
            if row.state != LedgerState.CLAIMED
        ]
        self._tables.mutate("ledger_by_state", entries)

    def _unlist(self, user: str) -> None:
        """Remove a user's sends from all lists, while the ledger still knows them."""
        rows = records(LedgerRow, self._scan("ledger", keys.ledger_of(user)))
        self._delete("ledger_by_state", [_listed_key(row, state) for row in rows for state in STATES])

    def _claim(self, key: bytes, row: LedgerRow, token: bytes) -> bool:
        """Whether there was no row, and now there is this one."""
        return self._tables.insert("ledger", key, [cell(row, 0), SetCell(FAMILY, _CLAIM, token, 0)])

    def _resolve(self, key: bytes, found: Row, row: LedgerRow, token: bytes) -> bool:
        """Whether the row stood as it was found, and now is this one."""
        cells: list[Mutation] = [cell(row, 0), SetCell(FAMILY, _CLAIM, token, 0)]
        return self._tables.replace("ledger", key, ROW, cell_of(found, ROW), cells)


def _listed(row: LedgerRow) -> Listed:
    return row.campaign, row.decided_at, row.user, row.send


def _listed_key(row: LedgerRow, state: str) -> bytes:
    return keys.listed_key(state, row.campaign, _listed(row)[1:])
