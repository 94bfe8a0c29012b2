"""A store in one SQLite file: its parts together, and what concerns several of them."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from transforms.storage.control import ControlRows
from transforms.storage.sqlite.acknowledged import SqliteAcknowledged
from transforms.storage.sqlite.archive import SqliteArchive
from transforms.storage.sqlite.control import SqliteControl
from transforms.storage.sqlite.database import surfacing
from transforms.storage.sqlite.dead_letters import SqliteDeadLetters
from transforms.storage.sqlite.holds import SqliteHolds
from transforms.storage.sqlite.identities import SqliteIdentities
from transforms.storage.sqlite.inbox import SqliteInbox
from transforms.storage.sqlite.lease import SqliteLease
from transforms.storage.sqlite.ledger import SqliteLedger
from transforms.storage.sqlite.members import SqliteMembers
from transforms.storage.sqlite.metrics import SqliteMetrics
from transforms.storage.sqlite.recommendations import SqliteRecommendations
from transforms.storage.sqlite.runs import SqliteRuns
from transforms.storage.sqlite.schema import (
    ADDED,
    APPLICATION_ID,
    DELETION_INDEXES,
    INDEXES,
    LETTERS_MOVED,
    SCHEMA,
    is_empty,
    is_ours,
)
from transforms.storage.sqlite.users import SqliteUsers
from transforms.storage.store import StoreError

__all__ = ["SqliteStore"]

#: How long a write waits for another process's transaction, in seconds.
BUSY_SECONDS = 30.0


class SqliteStore(
    SqliteUsers,
    SqliteArchive,
    SqliteIdentities,
    SqliteMembers,
    SqliteLedger,
    SqliteInbox,
    SqliteMetrics,
    SqliteControl,
    SqliteDeadLetters,
    SqliteHolds,
    SqliteRecommendations,
    SqliteRuns,
    SqliteLease,
    SqliteAcknowledged,
):
    """See `Store`. Threads of a process take turns; processes wait for each other up to `busy_seconds`.

    `durable`: each transaction waits for the disk, as it does beside a queue.
    """

    is_transactional: ClassVar[bool] = True

    def __init__(
        self, path: str | Path, *, busy_seconds: float = BUSY_SECONDS, create: bool = True, durable: bool = False
    ) -> None:
        with surfacing(str(path)):
            connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        super().__init__(connection, str(path))
        self._control = ControlRows()
        with surfacing(str(path)):
            self._check_ours(create)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
            # With a write-ahead log NORMAL loses no transaction when a process dies, only when the machine does: what
            # is committed has been written to the log, but not synced (https://www.sqlite.org/pragma.html). Beside a
            # queue, which has nothing to give again of what was acknowledged, it must be.
            beside_queue = connection.execute("SELECT 1 FROM acknowledged WHERE queue >= '' LIMIT 1").fetchone()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable or beside_queue else 'NORMAL'}")
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._add_columns()
        with surfacing(str(path)):
            for index in (*INDEXES, *DELETION_INDEXES):
                connection.execute(index)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what follows whole or not at all; see `Store.transaction`."""
        with self._transaction():
            yield

    def delete_user(
        self,
        user: str,
        segments: Iterable[str],  # noqa: ARG002 - those of the table are found by its key
        identities: Iterable[tuple[str, str]],  # noqa: ARG002 - found by an index
        *,
        row: bool = False,
    ) -> None:
        """Delete what is kept of a user; see `Store.delete_user`."""
        with self._transaction() as connection:
            self.delete_mailbox_claims([row.send for row in self.read_ledger(user)])
            self._delete_letters(self._with_linked_ids(user))
            for table in ("events", "ledger", "inbox", "identities", *(("users",) if row else ())):
                connection.execute(f"DELETE FROM {table} WHERE user = ?", (user,))
            sql = "UPDATE identities SET previous = '' WHERE previous = ? AND previous != ''"
            connection.execute(sql, (user,))
            names = [(segment, user) for segment in self._every_segment()]
            connection.executemany("DELETE FROM members WHERE segment = ? AND user = ?", names)

    def _every_segment(self) -> Iterator[str]:
        """The segments that have rows, also those that are defined no more; from one to the next, by the key."""
        [(segment,)] = self._query("SELECT min(segment) FROM members")
        while segment is not None:
            yield segment
            [(segment,)] = self._query("SELECT min(segment) FROM members WHERE segment > ?", (segment,))

    def _check_ours(self, create: bool) -> None:
        """Refuse the file of another program, before it gets our tables."""
        if is_empty(self._connection):
            if not create:
                raise StoreError(f"{self._path} is empty, and no store")
        elif not is_ours(self._connection):
            raise StoreError(f"{self._path} is a SQLite file of another program")

    def _add_columns(self) -> None:
        """Bring a file that an older version made up to date."""
        if all(self._has_column(table, column) for table, column, _ in ADDED):
            return
        with self._transaction() as connection:  # in which nobody else can do the same
            for move in () if self._has_column("dead_letters", "arrived") else LETTERS_MOVED:
                connection.execute(move)
            for table, column, kind in ADDED:
                if not self._has_column(table, column):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def _has_column(self, table: str, column: str) -> bool:
        return bool(self._query("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)))
