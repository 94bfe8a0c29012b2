"""The archive of events in SQLite."""

from collections.abc import Iterator, Sequence

from transforms.storage.rows import EventKey, EventRow
from transforms.storage.sqlite.database import PAGE, Database

__all__ = ["SqliteArchive"]


class SqliteArchive(Database):
    """See `Archive`."""

    def write_events(self, rows: Sequence[EventRow]) -> None:
        """Add events to the archive."""
        self._upsert("events", ("user", "time", "id"), rows)

    def existing_events(self, keys: Sequence[EventKey]) -> dict[EventKey, int]:
        """Those keys that the archive holds, with the version of each row."""
        found = {}
        with self._transaction() as connection:
            for key in keys:
                sql = "SELECT revision FROM events WHERE user = ? AND time = ? AND id = ?"
                if row := connection.execute(sql, (key.user, key.time, key.id)).fetchone():
                    found[key] = row[0]
        return found

    def read_events(self, user: str, limit: int | None = None) -> list[EventRow]:
        """A user's events, newest first."""
        order = "ORDER BY time DESC, id LIMIT ?"
        return self._select(EventRow, f"events WHERE user = ? {order}", (user, -1 if limit is None else limit))

    def scan_events(self, user: str) -> Iterator[EventRow]:
        """A user's events, newest first, page by page."""
        rest = "events WHERE user = ? AND time <= ? AND NOT (time = ? AND id <= ?) ORDER BY time DESC, id LIMIT ?"
        time, last = 2**63 - 1, ""
        while rows := self._select(EventRow, rest, (user, time, time, last, PAGE)):
            yield from rows
            time, last = rows[-1].time, rows[-1].id

    def scan_archive(self, first: str, last: str) -> Iterator[EventRow]:
        """The events of all users from one to another."""
        for (user,) in self._query("SELECT DISTINCT user FROM events WHERE user >= ? AND user <= ?", (first, last)):
            yield from self.scan_events(user)

    def delete_unapplied(self) -> None:
        """Delete the events that no row of a user knows of."""
        known = "coalesce((SELECT revision FROM users WHERE user = ?), 0)"
        with self._transaction() as connection:
            found = connection.execute("SELECT min(user) FROM events").fetchone()
            while found[0] is not None:
                user = found[0]
                connection.execute(f"DELETE FROM events WHERE user = ? AND revision > {known}", (user, user))
                found = connection.execute("SELECT min(user) FROM events WHERE user > ?", (user,)).fetchone()
