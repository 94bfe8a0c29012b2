"""The file of a queue, and what can be wrong with it.

A row is what one commit appended: messages of many callers, with the id and the time of arrival of the first of them;
those that follow have the next ids and the next microseconds. So an append is one small write however many messages
there are, and ids, arrivals and commits have one order. The newest row is never deleted: the next id comes from it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote
from uuid import uuid4

from transforms.errors import NotStarted, TodokeError

__all__ = ["NoQueue", "QueueError", "open_to_append", "open_to_read", "queue_id", "surfacing_queue", "until_free"]

#: What marks a file as a queue: `TDOQ` (https://www.sqlite.org/pragma.html#pragma_application_id), and in which form.
APPLICATION_ID = 0x54444F51
FORM = 1

#: The first row has no message: its place is that before the first id, which is 1. `payloads` is MessagePack.
SCHEMA = (
    "CREATE TABLE queue (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL)",
    "CREATE TABLE batches (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, arrived INTEGER NOT NULL, "
    "payloads BLOB NOT NULL)",
    "INSERT INTO batches VALUES (0, 1, 0, x'90')",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORM}",
)
#: How long is waited for another process, in seconds: somebody who appends, or puts the file in order.
BUSY_SECONDS = 10.0
#: Pages in the log beside the file before whoever appends writes them into the file; the log is no longer than that
#: by much, and is cut to `LOG_BYTES` where a reader has made it longer.
LOG_PAGES, LOG_BYTES = 2_000, 64 * 1024 * 1024
#: Between two tries to be the one who writes, in seconds; a commit takes some milliseconds.
TRY_AGAIN_SECONDS = 0.0005

_Result = TypeVar("_Result")


class QueueError(TodokeError):
    """A queue could not be read or written; the text says why."""


class NoQueue(QueueError, NotStarted):
    """A queue that cannot be opened: it is not there, is something else, or may not be used. Nothing was done."""


def open_to_append(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open a queue, or make one. Each commit is on the disk when it returns.

    Raises:
      NoQueue: it cannot be made or written, or is something else.
    """
    with _opening(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        try:
            if not _is_empty(connection):
                _check_ours(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
            until_free(lambda: connection.execute("PRAGMA journal_mode = WAL"), busy_seconds)
            _make(connection)
            _check_ours(connection, path)
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            # Some builds fill deleted pages with zeros, which is as much to write as the messages were.
            connection.execute("PRAGMA secure_delete = FAST")
        except BaseException:
            connection.close()
            raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a queue that is there, for reading alone: whoever appends is not waited for, and does not wait.

    Raises:
      NoQueue: it is not there, cannot be read, or is something else.
    """
    if not path.exists():
        raise NoQueue(f"there is no queue {path}")
    with _opening(path):
        connection = _readable(path)
        try:
            if _is_empty(connection):
                raise NoQueue(f"{path} is empty, and no queue")
            _check_ours(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def queue_id(connection: sqlite3.Connection, path: Path) -> str:
    """What tells a queue from any other that has stood, or will stand, at the same path.

    Raises:
      NoQueue: it cannot be read.
    """
    with _opening(path):
        [(found,)] = connection.execute("SELECT id FROM queue WHERE one = 1").fetchall()
    return str(found)


def until_free(work: Callable[[], _Result], seconds: float) -> _Result:
    """Do what SQLite refuses while another process has the file, again and again for so long; returns what it returns.

    SQLite's own waiting sleeps for longer and longer, up to 0.1 s, in which others come first.

    Raises:
      sqlite3.Error: it is refused for another reason, or still.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(TRY_AGAIN_SECONDS)


@contextmanager
def surfacing_queue(path: Path) -> Iterator[None]:
    """Have what SQLite refuses surface.

    Raises:
      QueueError: it refused; the text names the file.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise QueueError(f"the queue {path} cannot be used: {error}") from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise NoQueue(f"the queue {path} cannot be opened: {error}") from error


def _readable(path: Path) -> sqlite3.Connection:
    """A connection for reading. Even that makes files beside it; where it may not, and there is no log, the file is
    whole, and is read as one that nobody changes.
    """
    place = f"file:{quote(os.fspath(path.absolute()))}?mode=ro"
    connection = _connected(place)
    try:
        _is_empty(connection)
    except sqlite3.OperationalError:
        connection.close()
        log = Path(f"{path}-wal")
        if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        return _connected(f"{place}&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _make(connection: sqlite3.Connection) -> None:
    """Make what is in a queue, unless somebody else has."""
    if not _is_empty(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO queue VALUES (1, ?)", (uuid4().hex,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse the file of another program, before anything of it is changed."""
    [(marked,)] = connection.execute("SELECT application_id FROM pragma_application_id").fetchall()
    [(form,)] = connection.execute("SELECT user_version FROM pragma_user_version").fetchall()
    if marked != APPLICATION_ID:
        raise NoQueue(f"{path} is a SQLite file, and no queue")
    if form != FORM:
        raise NoQueue(f"{path} is a queue of another version (form {form}; this one reads {FORM})")
