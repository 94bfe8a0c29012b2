"""The table of identities in Bigtable: beside each stands whose it is or was, under the user.

That is written before the identity, and deleted after it: none is left that deleting its user would not find. What an
older version wrote has nothing beside it.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import ROW, Database, newest, record, records, timestamp
from transforms.storage.bigtable.tables import KEYS_ONLY, RowMutations, delete_until, set_cell
from transforms.storage.identities import LINKED_IDS
from transforms.storage.rows import IdentityRow

__all__ = ["BigtableIdentities"]


class BigtableIdentities(Database):
    """See `Identities`."""

    def write_identities(self, rows: Sequence[IdentityRow]) -> None:
        """Write who owns ids, tokens and addresses."""
        beside = {keys.identity_of(row.user, row.kind, row.value): None for row in rows}
        self._tables.mutate("identities", [set_cell(key, ROW, b"", 0) for key in beside])
        self._write("identities", newest((keys.identity_key(row.kind, row.value), row.version, row) for row in rows))

    def read_identities(self, kind: str, values: Sequence[str]) -> dict[str, IdentityRow]:
        """The rows of those values that have one."""
        found = self._tables.read("identities", [keys.identity_key(kind, value) for value in values])
        return {record.value: record for record in records(IdentityRow, found.values())}

    def identities_of(self, user: str) -> Iterator[IdentityRow]:
        """All rows that say that something is a user's, by what stands beside them."""
        _, named = self._beside(user)
        found = records(IdentityRow, self._tables.read("identities", list(named)).values())
        return (row for row in found if row.user == user)

    def _delete_identities(self, user: str, known: Iterable[tuple[str, str]]) -> None:
        """Delete the identities of a user, those that are known and those beside which it stands."""
        beside, named = self._beside(user)
        named |= {keys.identity_key(kind, value) for kind, value in known}
        entries: list[RowMutations] = []
        for key, found in self._tables.read("identities", list(named)).items():
            row = record(IdentityRow, found)
            # Only up to what was read: a newer registration by somebody else must survive, and what it replaced goes.
            at, theirs = timestamp(row.version), row.user == user
            end = at + 1000 if theirs else at
            changes = [delete_until(key, ROW, end)] if end else []  # to Bigtable an end of 0 is none: all would go
            if not theirs and row.previous == user:
                bare = msgspec.structs.replace(row, previous="")
                changes.append(set_cell(key, ROW, msgspec.msgpack.encode(bare), at))
            for more in changes[1:]:
                changes[0].mutations.extend(more.mutations)
            entries += changes[:1]
        self._tables.mutate("identities", entries)
        self._delete("identities", beside)

    def _with_linked_ids(self, user: str) -> list[str]:
        """A user, the ids whose owner they are, and theirs in turn."""
        found = [user]
        for owner in found:
            _, named = self._beside(owner)
            rows = records(IdentityRow, self._tables.read("identities", list(named)).values())
            linked = [LINKED_IDS[row.kind] + row.value for row in rows if row.user == owner and row.kind in LINKED_IDS]
            found += [key for key in linked if key not in found]
        return found

    def _beside(self, user: str) -> tuple[list[bytes], set[bytes]]:
        """What says which identities are or were a user's: its keys, and those of the identities."""
        prefix = keys.identities_of(user)
        beside = [found.row_key for found in self._scan("identities", prefix, row_filter=KEYS_ONLY)]
        return beside, {key.removeprefix(prefix) for key in beside}
