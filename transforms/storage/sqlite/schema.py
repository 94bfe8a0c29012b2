"""The tables of a file, and what one of an older version lacks."""

import re
import sqlite3
from contextlib import closing
from functools import cache

__all__ = [
    "ADDED",
    "APPLICATION_ID",
    "DELETION_INDEXES",
    "INDEXES",
    "LETTERS_MOVED",
    "SCHEMA",
    "TABLES",
    "is_empty",
    "is_ours",
    "missing_parts",
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (user TEXT PRIMARY KEY, revision INTEGER, state BLOB, profile BLOB, deadline INTEGER,
    open_sends INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (user TEXT, time INTEGER, id TEXT, arrival INTEGER, type TEXT, name TEXT,
    source TEXT, payload BLOB, revision INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user, time DESC, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identities (kind TEXT, value TEXT, user TEXT, revision INTEGER,
    previous TEXT NOT NULL DEFAULT '', PRIMARY KEY (kind, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (segment TEXT, user TEXT, since INTEGER, revision INTEGER, active INTEGER,
    PRIMARY KEY (segment, user)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (user TEXT, send TEXT, state TEXT, campaign TEXT, step TEXT, channel TEXT,
    decided_at INTEGER, at INTEGER, attempts INTEGER, lease INTEGER, detail TEXT, PRIMARY KEY (user, send))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (user TEXT, at INTEGER, send TEXT, campaign TEXT, step TEXT, title TEXT, body TEXT,
    image TEXT, deep_link TEXT, data BLOB, expires INTEGER, placement TEXT NOT NULL DEFAULT '',
    shown_on BLOB NOT NULL DEFAULT x'', locale TEXT NOT NULL DEFAULT '', opened INTEGER NOT NULL DEFAULT 0,
    clicked INTEGER NOT NULL DEFAULT 0, dismissed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user, at DESC, send))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (series TEXT, window INTEGER, count INTEGER, PRIMARY KEY (series, window))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (time INTEGER, id TEXT PRIMARY KEY, arrived INTEGER, user TEXT, source TEXT,
    cause TEXT, detail TEXT, payload BLOB, size INTEGER, replayed INTEGER, weight INTEGER);
CREATE TABLE IF NOT EXISTS runs (one INTEGER PRIMARY KEY CHECK (one = 1), run BLOB);
CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), lease BLOB);
CREATE TABLE IF NOT EXISTS holds (one INTEGER PRIMARY KEY CHECK (one = 1), hold BLOB);
CREATE TABLE IF NOT EXISTS recommendations (made INTEGER, name TEXT, products BLOB, PRIMARY KEY (made, name))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recommended (one INTEGER PRIMARY KEY CHECK (one = 1), recommended BLOB);
CREATE TABLE IF NOT EXISTS control (id TEXT PRIMARY KEY, published INTEGER, payload BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acknowledged (queue TEXT, number INTEGER, ids BLOB, PRIMARY KEY (queue, number))
    WITHOUT ROWID;
"""

#: What marks a file as a store: `TDOK` (https://www.sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x54444F4B

TABLES = frozenset(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA))

#: Columns that files made by older versions lack: table, column, type.
ADDED = (
    ("users", "open_sends", "INTEGER NOT NULL DEFAULT 0"),
    ("identities", "previous", "TEXT NOT NULL DEFAULT ''"),
    ("events", "revision", "INTEGER NOT NULL DEFAULT 0"),
    ("dead_letters", "arrived", "INTEGER"),
    ("inbox", "placement", "TEXT NOT NULL DEFAULT ''"),
    ("inbox", "shown_on", "BLOB NOT NULL DEFAULT x''"),
    ("inbox", "locale", "TEXT NOT NULL DEFAULT ''"),
    ("inbox", "opened", "INTEGER NOT NULL DEFAULT 0"),
    ("inbox", "clicked", "INTEGER NOT NULL DEFAULT 0"),
    ("inbox", "dismissed", "INTEGER NOT NULL DEFAULT 0"),
)

#: A file that lacks `dead_letters.arrived` has letters by time and id: of those with one id, the first is taken over.
LETTERS_MOVED = (
    "ALTER TABLE dead_letters RENAME TO dead_letters_before",
    next(each for each in SCHEMA.split(";") if "EXISTS dead_letters " in each),
    """INSERT OR IGNORE INTO dead_letters
    SELECT time, id, time, user, source, cause, detail, payload, size, replayed, weight
    FROM dead_letters_before ORDER BY time""",
    "DROP TABLE dead_letters_before",
)

#: Made once all columns are there; a file of an older version is read through for each, once.
INDEXES = (
    "CREATE INDEX IF NOT EXISTS users_by_deadline ON users (deadline, user) WHERE deadline IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS ledger_by_state ON ledger (state, campaign, decided_at DESC, user, send)",
    "CREATE INDEX IF NOT EXISTS dead_letters_by_user ON dead_letters (user)",
    "CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (time DESC, id, weight)",
)

#: The same, for deletions alone: whoever only reads does without.
DELETION_INDEXES = (
    "CREATE INDEX IF NOT EXISTS identities_by_user ON identities (user)",
    "CREATE INDEX IF NOT EXISTS identities_by_previous ON identities (previous) WHERE previous != ''",
    # Of claims, those of mailboxes alone have no lease: what a courier claims to send has one until it is settled.
    "CREATE INDEX IF NOT EXISTS ledger_by_mailbox ON ledger (detail) WHERE state = 'claimed' AND lease = 0",
)

_NAMED = re.compile(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (\w+)")


def missing_parts(connection: sqlite3.Connection) -> list[str]:
    """The tables, indexes and columns that a file lacks of those that this version knows.

    Raises:
      sqlite3.Error: it is no file of SQLite, or cannot be read.
    """
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    missing = [name for name in _NAMED.findall(" ".join((SCHEMA, *INDEXES))) if name not in there]
    for table, column, _ in ADDED:
        asked = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
        if table in there and not connection.execute(asked, (table, column)).fetchall():
            missing.append(f"{table}.{column}")
    return missing


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether a file is a store. One that was made before there was an `APPLICATION_ID` is known by its columns.

    Raises:
      sqlite3.Error: it is no file of SQLite, or cannot be read.
    """
    [(marked,)] = connection.execute("SELECT application_id FROM pragma_application_id").fetchall()
    if marked:
        return bool(marked == APPLICATION_ID)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    ours = there & TABLES
    whole = there <= TABLES or {"users", "ledger"} <= there
    return bool(ours) and whole and all(_columns(connection, table) >= _oldest_columns()[table] for table in ours)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing is in a file yet."""
    return not connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()


@cache
def _oldest_columns() -> dict[str, frozenset[str]]:
    """The columns that every store has in a table, if it has the table."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        added = {(table, column) for table, column, _ in ADDED}
        return {
            table: frozenset(name for name in _columns(connection, table) if (table, name) not in added)
            for table in TABLES
        }


def _columns(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    return frozenset(name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)))
