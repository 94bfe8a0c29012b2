CREATE TABLE users (user TEXT PRIMARY KEY, revision INTEGER, state BLOB, profile BLOB, deadline INTEGER,
    open_sends INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE events (user TEXT, time INTEGER, id TEXT, arrival INTEGER, type TEXT, name TEXT,
    source TEXT, payload BLOB, revision INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user, time DESC, id)) WITHOUT ROWID;
CREATE TABLE identities (kind TEXT, value TEXT, user TEXT, revision INTEGER,
    previous TEXT NOT NULL DEFAULT '', PRIMARY KEY (kind, value)) WITHOUT ROWID;
CREATE TABLE members (segment TEXT, user TEXT, since INTEGER, revision INTEGER, active INTEGER,
    PRIMARY KEY (segment, user)) WITHOUT ROWID;
CREATE TABLE ledger (user TEXT, send TEXT, state TEXT, campaign TEXT, step TEXT, channel TEXT,
    decided_at INTEGER, at INTEGER, attempts INTEGER, lease INTEGER, detail TEXT, PRIMARY KEY (user, send))
    WITHOUT ROWID;
CREATE TABLE inbox (user TEXT, at INTEGER, send TEXT, campaign TEXT, step TEXT, title TEXT, body TEXT,
    image TEXT, deep_link TEXT, data BLOB, expires INTEGER, placement TEXT NOT NULL DEFAULT '',
    shown_on BLOB NOT NULL DEFAULT x'', locale TEXT NOT NULL DEFAULT '', opened INTEGER NOT NULL DEFAULT 0,
    clicked INTEGER NOT NULL DEFAULT 0, dismissed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user, at DESC, send))
    WITHOUT ROWID;
CREATE TABLE metrics (series TEXT, window INTEGER, count INTEGER, PRIMARY KEY (series, window))
    WITHOUT ROWID;
CREATE TABLE dead_letters (time INTEGER, id TEXT PRIMARY KEY, arrived INTEGER, user TEXT, source TEXT,
    cause TEXT, detail TEXT, payload BLOB, size INTEGER, replayed INTEGER, weight INTEGER);
CREATE TABLE runs (one INTEGER PRIMARY KEY CHECK (one = 1), run BLOB);
CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), lease BLOB);
CREATE TABLE holds (one INTEGER PRIMARY KEY CHECK (one = 1), hold BLOB);
CREATE TABLE recommendations (made INTEGER, name TEXT, products BLOB, PRIMARY KEY (made, name))
    WITHOUT ROWID;
CREATE TABLE recommended (one INTEGER PRIMARY KEY CHECK (one = 1), recommended BLOB);
CREATE TABLE control (id TEXT PRIMARY KEY, published INTEGER, payload BLOB) WITHOUT ROWID;
CREATE TABLE acknowledged (queue TEXT, number INTEGER, ids BLOB, PRIMARY KEY (queue, number))
    WITHOUT ROWID;
CREATE INDEX users_by_deadline ON users (deadline, user) WHERE deadline IS NOT NULL;
CREATE INDEX ledger_by_state ON ledger (state, campaign, decided_at DESC, user, send);
CREATE INDEX dead_letters_by_user ON dead_letters (user);
CREATE INDEX dead_letters_by_time ON dead_letters (time DESC, id, weight);
CREATE INDEX identities_by_user ON identities (user);
CREATE INDEX identities_by_previous ON identities (previous) WHERE previous != '';
CREATE INDEX ledger_by_mailbox ON ledger (detail) WHERE state = 'claimed' AND lease = 0;
