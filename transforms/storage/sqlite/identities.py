"""The table of identities in SQLite."""

from collections.abc import Iterator, Sequence

from transforms.storage.identities import LINKED_IDS
from transforms.storage.rows import IdentityRow
from transforms.storage.sqlite.database import Database

__all__ = ["SqliteIdentities"]


class SqliteIdentities(Database):
    """See `Identities`."""

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Write who owns ids, tokens and addresses."""
        self._upsert("identities", ("kind", "value"), rows, newest=True)

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one."""
        return {
            row.value: row
            for row in self._among(IdentityRow, "identities", "value", values, where="kind = ?", given=(kind,))
        }

    def identities_of(self, user: str) -> Iterator[IdentityRow]:
        """All rows that say that something is a user's."""
        return self._scan(IdentityRow, "identities", ("kind", "value"), ("", ""), where="user = ?", given=(user,))

    def _with_linked_ids(self, user: str) -> list[str]:
        """A user, the ids whose owner they are, and theirs in turn."""
        found = [user]
        for owner in found:
            sql = "SELECT kind, value FROM identities WHERE user = ?"
            keys = [LINKED_IDS[kind] + value for kind, value in self._query(sql, (owner,)) if kind in LINKED_IDS]
            found += [key for key in keys if key not in found]
        return found
