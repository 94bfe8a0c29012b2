"""A store in Bigtable, for reading alone."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

import msgspec
from google.cloud.bigtable.data import Row

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import NAMES, ROW, cell_of, record, records
from transforms.storage.bigtable.dead_letters import letter
from transforms.storage.bigtable.identities import BigtableIdentities
from transforms.storage.bigtable.inbox import inbox_rows
from transforms.storage.bigtable.lease import BigtableLease
from transforms.storage.bigtable.ledger import Listed
from transforms.storage.bigtable.metrics import BigtableMetrics
from transforms.storage.bigtable.runs import BigtableRuns
from transforms.storage.bigtable.tables import TIMEOUT, TRIES, Tables
from transforms.storage.bigtable.users import BigtableUsers
from transforms.storage.reader import After
from transforms.storage.rows import DeadLetterRow, EventRow, InboxRow, LedgerRow, LedgerState, MemberRow
from transforms.storage.sends import SendKey

__all__ = ["BigtableLists"]

#: How many entries of a list of sends are read together from each shard, and compared with the ledger.
_AT_ONCE = 100
#: How many members are read together to be counted.
_COUNTED_AT_ONCE = 1_000


class BigtableLists(BigtableUsers, BigtableIdentities, BigtableMetrics, BigtableRuns, BigtableLease):
    """See `Lists`. Safe for any number of threads, which share one connection.

    Args:
      project, instance, timeout, tries: see `BigtableStore`.

    Raises:
      StoreError: no credentials, no answer, no such instance, or a missing table.
    """

    def __init__(self, project: str, instance: str, *, timeout: float = TIMEOUT, tries: int = TRIES) -> None:
        super().__init__(Tables(project, instance, NAMES, create=False, timeout=timeout, tries=tries))

    def events_after(self, user: str, after: After, at_once: int) -> Iterator[EventRow]:
        """A user's events after (time, id)."""
        return records(EventRow, self._older("events", keys.events_of(user), after, at_once))

    def decisions_of(self, user: str) -> Iterable[LedgerRow]:
        """A user's sends and refusals."""
        return records(LedgerRow, self._scan("ledger", keys.ledger_of(user)))

    def inbox_after(self, user: str, after: After, at_once: int) -> Iterator[InboxRow]:
        """A user's inbox after (at, send)."""
        return inbox_rows(self._older("inbox", keys.inbox_of(user), after, at_once))

    def members_after(self, segment: str, after: str | None, at_once: int) -> Iterator[MemberRow]:
        """Members and those who left after a user."""
        last = None if after is None else keys.member_key(segment, after)
        return records(MemberRow, self._after("members", keys.members_of(segment), last, at_once))

    def count_members(self, segment: str) -> int:
        """How many members have a user id; an anonymous id has a mark before it."""
        rows = self.members_after(segment, None, _COUNTED_AT_ONCE)
        return sum(row.active and not row.user.startswith("~") for row in rows)

    def letters_after(self, after: After, since: int, at_once: int) -> Iterator[DeadLetterRow]:
        """Dead letters since a time after (time, id)."""
        rows = (letter(row) for row in self._older("dead_letters", keys.LETTERS, after, at_once))
        for row in rows:
            if row.time < since:
                return
            yield row

    def campaign_after(self, state: str, campaign: str | None) -> str | None:
        """The next campaign that has sends of a state; claims are in one list of all campaigns."""
        if state == LedgerState.CLAIMED:
            return "" if campaign is None else None
        every = keys.listed_of(state)
        start = every if campaign is None else keys.end_of(keys.listed_of(state, campaign)) or every
        found = self._tables.scan("ledger_by_state", start, keys.end_of(every), 1)
        return next((_listed(row)[0] for row in found), None)

    def sends_of(
        self, state: str, campaign: str, since: int, after: SendKey | None
    ) -> Iterator[tuple[SendKey, LedgerRow | None]]:
        """The sends of a state and a campaign."""
        if state == LedgerState.CLAIMED:
            return self._claims_after(after)
        return self._listed(state, campaign, since, after)

    def _claims_after(self, after: SendKey | None) -> Iterator[tuple[SendKey, LedgerRow | None]]:
        last = None if after is None else keys.ledger_key(*after[1:])
        for row in records(LedgerRow, self._after("ledger", b"", last)):
            yield (row.decided_at, row.user, row.send), row if row.state == LedgerState.CLAIMED else None

    def _listed(
        self, state: str, campaign: str, since: int, after: SendKey | None
    ) -> Iterator[tuple[SendKey, LedgerRow | None]]:
        shards = [self._shard(state, campaign, since, after, shard) for shard in range(keys.SHARDS)]
        listed = (entry for _, entry in merge(*shards))
        while some := list(islice(listed, _AT_ONCE)):
            named = [keys.ledger_key(user, send) for _, user, send in some]
            found = self._tables.read("ledger", named)
            for entry, key in zip(some, named, strict=True):
                row = record(LedgerRow, found[key]) if key in found else None
                yield entry, row if row is not None and row.state == state else None

    def _shard(
        self, state: str, campaign: str, since: int, after: SendKey | None, shard: int
    ) -> Iterator[tuple[bytes, SendKey]]:
        """The entries of a shard, each with its place among those of all shards."""
        start = keys.listed_of(state, campaign, shard)
        first = start if after is None else keys.listed_key(state, campaign, after, shard) + b"\0"
        end = keys.end_of(keys.listed_at(state, campaign, since, shard))
        for row in self._tables.scan("ledger_by_state", first, end, at_once=_AT_ONCE):
            yield row.row_key.removeprefix(start), _listed(row)[1:]

    def _older(self, table: str, prefix: bytes, after: After, at_once: int) -> Iterator[Row]:
        """Rows of a list by time, newest first: after one, or of a time or older."""
        if after is None:
            return self._after(table, prefix, None, at_once)
        start = prefix + keys.timed(*after)
        return self._tables.scan(
            table, start + b"\0" if len(after) > 1 else start, keys.end_of(prefix), at_once=at_once
        )

    def _after(self, table: str, prefix: bytes, last: bytes | None, at_once: int = _AT_ONCE) -> Iterator[Row]:
        """Rows whose keys have a prefix, after one of them."""
        start = prefix if last is None else max(prefix, last + b"\0")
        end = keys.end_of(prefix)
        return iter(()) if end is not None and start >= end else self._tables.scan(table, start, end, at_once=at_once)


def _listed(row: Row) -> Listed:
    found: Listed = msgspec.msgpack.decode(cell_of(row, ROW), type=Listed)
    return found
