"""The ledger in SQLite."""

from collections.abc import Iterator, Sequence

from transforms.storage.ledger import MAILBOX_CLAIM, newest_decisions
from transforms.storage.rows import LedgerRow
from transforms.storage.sqlite.database import Database, columns, values

__all__ = ["SqliteLedger"]


class SqliteLedger(Database):
    """See `Ledger`."""

    def claim(self, rows: Sequence[LedgerRow]) -> dict[str, LedgerRow | None]:
        """Claim sends; None where this call made the claim, else the row that stood there."""
        standing: dict[str, LedgerRow | None] = {}
        with self._transaction() as connection:
            for row in rows:
                sql = f"INSERT OR IGNORE INTO ledger {columns(LedgerRow)}"
                made = connection.execute(sql, values(row)).rowcount == 1
                if made:
                    standing[row.send] = None
                elif row.send not in standing:
                    where = "ledger WHERE user = ? AND send = ?"
                    standing[row.send] = self._select(LedgerRow, where, (row.user, row.send))[0]
        return standing

    def record(self, rows: Sequence[LedgerRow]) -> None:
        """Write the outcome of sends over their claims."""
        self._upsert("ledger", ("user", "send"), rows)

    def resolve(self, changes: Sequence[tuple[LedgerRow, LedgerRow]]) -> list[LedgerRow]:
        """Replace rows that stand as they were read; the new rows that this call wrote."""
        names = LedgerRow.__struct_encode_fields__
        sql = f"UPDATE ledger SET {', '.join(f'{name} = ?' for name in names)} "
        sql += f"WHERE {' AND '.join(f'{name} = ?' for name in names)}"
        with self._transaction() as connection:
            return [new for old, new in changes if connection.execute(sql, (*values(new), *values(old))).rowcount]

    def read_ledger(self, user: str, limit: int | None = None) -> list[LedgerRow]:
        """A user's sends, newest decision first."""
        rows = self._scan(LedgerRow, "ledger", ("send",), ("",), where="user = ?", given=(user,))
        return newest_decisions(rows, limit)

    def mailbox_claims_of(self, sends: Sequence[str]) -> Iterator[LedgerRow]:
        """The claims of mailboxes that were made for any of these sends."""
        # The planner takes the index where these two stand literally.
        claims = self._among(LedgerRow, "ledger", "detail", sends, where="state = 'claimed' AND lease = 0")
        return (row for row in claims if row.user.startswith(MAILBOX_CLAIM))

    def delete_mailbox_claims(self, sends: Sequence[str]) -> None:
        """Delete the claims of mailboxes that were made for any of these sends."""
        claims = [(row.user, row.send) for row in self.mailbox_claims_of(sends)]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM ledger WHERE user = ? AND send = ?", claims)

    def scan_ledger(self) -> Iterator[LedgerRow]:
        """Every send, in key order."""
        return self._scan(LedgerRow, "ledger", ("user", "send"), ("", ""))

    def scan_leased(self) -> Iterator[LedgerRow]:
        """Every send with a lease."""
        return self._scan(LedgerRow, "ledger", ("user", "send"), ("", ""), where="lease != 0")
