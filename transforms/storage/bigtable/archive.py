"""The archive of events in Bigtable."""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.database import ROW, record, records, timestamp
from transforms.storage.bigtable.tables import set_only_cell
from transforms.storage.bigtable.users import BigtableUsers
from transforms.storage.rows import EventKey, EventRow

__all__ = ["BigtableArchive"]

#: How many events are looked at together.
_ROWS_AT_ONCE = 1_000


class BigtableArchive(BigtableUsers):
    """See `Archive`."""

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive. Their cells have the time of arrival, for rules of garbage collection by age."""
        found = {keys.event_key(row.user, row.time, row.id): row for row in rows}
        encoded = ((key, msgspec.msgpack.encode(row), timestamp(row.arrival // 1000)) for key, row in found.items())
        self._tables.mutate("events", [set_only_cell(key, ROW, value, at) for key, value, at in encoded])

    def existing_events(self, wanted: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those keys that the archive holds, with the version of each row."""
        by_key = {keys.event_key(key.user, key.time, key.id): key for key in wanted}
        found = self._tables.read("events", list(by_key))
        return {by_key[key]: record(EventRow, row).version for key, row in found.items()}

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""
        return list(records(EventRow, self._scan("events", keys.events_of(user), limit)))

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, page by page."""
        return records(EventRow, self._scan("events", keys.events_of(user)))

    def scan_archive(self, first: str, last: str) -> Iterator[EventRow]:
        """The events of all users from one to another."""
        return records(EventRow, self._tables.scan("events", keys.events_of(first), keys.end_of(keys.events_of(last))))

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of."""
        found = iter(self._scan("events", b""))
        while some := list(islice(found, _ROWS_AT_ONCE)):
            rows = {row.row_key: record(EventRow, row) for row in some}
            known = self.read_users(sorted({row.user for row in rows.values()}))
            versions = {name: row.version for name, row in known.items()}
            gone = [key for key, row in rows.items() if row.version > versions.get(row.user, 0)]
            self._delete("events", gone)
