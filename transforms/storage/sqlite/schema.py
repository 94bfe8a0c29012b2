"""The tables of a file, and what one of an older version lacks."""

import re

__all__ = ["ADDED", "INDEXES", "SCHEMA", "TABLES"]

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
    image TEXT, deep_link TEXT, data BLOB, expires INTEGER, PRIMARY KEY (user, at DESC, send)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (series TEXT, window INTEGER, count INTEGER, PRIMARY KEY (series, window))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (one INTEGER PRIMARY KEY CHECK (one = 1), run BLOB);
CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), lease BLOB);
CREATE TABLE IF NOT EXISTS control (id TEXT PRIMARY KEY, published INTEGER, payload BLOB) WITHOUT ROWID;
"""

TABLES = frozenset(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA))

#: Columns that files made by older versions lack: table, column, type.
ADDED = (
    ("users", "open_sends", "INTEGER NOT NULL DEFAULT 0"),
    ("identities", "previous", "TEXT NOT NULL DEFAULT ''"),
    ("events", "revision", "INTEGER NOT NULL DEFAULT 0"),
)

#: Made once all columns are there; a file of an older version is read through for it, once.
INDEXES = "CREATE INDEX IF NOT EXISTS users_by_deadline ON users (deadline, user) WHERE deadline IS NOT NULL"
