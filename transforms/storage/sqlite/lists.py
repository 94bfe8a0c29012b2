"""A store in a SQLite file, for reading alone: while a job writes to it, and where nobody may write."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from transforms.storage.reader import After
from transforms.storage.rows import DeadLetterRow, EventRow, InboxRow, LedgerRow, MemberRow
from transforms.storage.sends import SendKey
from transforms.storage.sqlite.database import surfacing
from transforms.storage.sqlite.identities import SqliteIdentities
from transforms.storage.sqlite.lease import SqliteLease
from transforms.storage.sqlite.metrics import SqliteMetrics
from transforms.storage.sqlite.runs import SqliteRuns
from transforms.storage.sqlite.schema import is_empty, is_ours, missing_parts
from transforms.storage.sqlite.users import SqliteUsers
from transforms.storage.store import OlderStore, StoreError

__all__ = ["SqliteLists"]

#: How long a statement waits where a job is just putting the file in order, in seconds.
BUSY_SECONDS = 10.0


class SqliteLists(SqliteUsers, SqliteIdentities, SqliteMetrics, SqliteRuns, SqliteLease):
    """See `Lists`. Threads of a process take turns; it waits for no writer, and no writer for it.

    Raises:
      OlderStore: the file lacks tables or indexes of this version.
      StoreError: it cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(_connected(Path(path)), str(path))
        try:
            with surfacing(self._path):
                if is_empty(self._connection):
                    raise StoreError(f"{path} is empty, and no store")
                if not is_ours(self._connection):
                    raise StoreError(f"{path} is a SQLite file of another program")
                missing = missing_parts(self._connection)
            if missing:
                raise OlderStore(f"{path} lacks {', '.join(missing)}: it was made by an older version")
        except StoreError:
            self.close()
            raise

    def events_after(self, user: str, after: After, at_once: int) -> Iterator[EventRow]:
        """A user's events after (time, id)."""
        where = "user = ?", (user,)
        return self._newest(EventRow, "events", "time", ("id",), after, where=where, at_once=at_once)

    def decisions_of(self, user: str) -> Iterable[LedgerRow]:
        """A user's sends and refusals."""
        return self._scan(LedgerRow, "ledger", ("send",), ("",), where="user = ?", given=(user,))

    def inbox_after(self, user: str, after: After, at_once: int) -> Iterator[InboxRow]:
        """A user's inbox after (at, send)."""
        where = "user = ?", (user,)
        return self._newest(InboxRow, "inbox", "at", ("send",), after, where=where, at_once=at_once)

    def members_after(self, segment: str, after: str | None, at_once: int) -> Iterator[MemberRow]:
        """Members and those who left after a user."""
        start = ("" if after is None else after,)
        return self._scan(
            MemberRow, "members", ("user",), start, where="segment = ?", given=(segment,), at_once=at_once
        )

    def count_members(self, segment: str) -> int:
        """How many members have a user id; an anonymous id has a mark before it."""
        sql = "SELECT count(*) FROM members WHERE segment = ? AND active AND substr(user, 1, 1) <> '~'"
        [(count,)] = self._query(sql, (segment,))
        return int(count)

    def letters_after(self, after: After, since: int, at_once: int) -> Iterator[DeadLetterRow]:
        """Dead letters since a time after (time, id)."""
        return self._newest(DeadLetterRow, "dead_letters", "time", ("id",), after, since=since, at_once=at_once)

    def campaign_after(self, state: str, campaign: str | None) -> str | None:
        """The next campaign that has sends of a state."""
        beyond, given = ("", (state,)) if campaign is None else ("AND campaign > ?", (state, campaign))
        [(found,)] = self._query(f"SELECT min(campaign) FROM ledger WHERE state = ? {beyond}", given)
        return None if found is None else str(found)

    def sends_of(
        self, state: str, campaign: str, since: int, after: SendKey | None
    ) -> Iterator[tuple[SendKey, LedgerRow | None]]:
        """The sends of a state and a campaign."""
        where = "state = ? AND campaign = ?", (state, campaign)
        rows = self._newest(LedgerRow, "ledger", "decided_at", ("user", "send"), after, where=where, since=since)
        return (((row.decided_at, row.user, row.send), row) for row in rows)


def _connected(path: Path) -> sqlite3.Connection:
    """A connection that can only read.

    SQLite keeps what is written last in a log beside the file, with an index of it that readers take part in, and makes
    both even to read. Where nobody may write the folder and there is no such log, the file is whole, and is read as one
    that nobody changes.

    Raises:
      StoreError: there is no such file, or it is none of SQLite.
    """
    if not path.exists():
        raise StoreError(f"there is no file {path}")
    if path.is_dir():
        raise StoreError(f"SQLite refused: unable to open database file ({path})")
    place = f"file:{quote(os.fspath(path.absolute()))}"
    with surfacing(str(path)):
        connection = _opened(f"{place}?mode=ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            log = Path(f"{path}-wal")
            if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
                raise
            return _opened(f"{place}?mode=ro&immutable=1")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _opened(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
