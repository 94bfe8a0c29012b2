"""What is SQLite's own: files that an older version made, and commits that fail."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from samples import NOW, sent, user

from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

#: Tables of an older version: no `users.open_sends`, no `control`.
OLD_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE users (user TEXT PRIMARY KEY, revision INTEGER, state BLOB, profile BLOB, deadline INTEGER) WITHOUT ROWID;
CREATE TABLE ledger (user TEXT, send TEXT, state TEXT, campaign TEXT, step TEXT, channel TEXT, decided_at INTEGER,
    at INTEGER, attempts INTEGER, lease INTEGER, detail TEXT, PRIMARY KEY (user, send)) WITHOUT ROWID;
INSERT INTO users VALUES ('u1', 1, x'00ff', x'7b7d', NULL), ('u2', 2, x'01', x'7b7d', 1772000000000000);
INSERT INTO ledger VALUES ('u1', 's1', 'claimed', 'win_back', 'push', 'push', 1772000000000000, 1772000000000000, 1, 0,
    '');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as the older version left it."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD_SCHEMA)
    connection.close()
    return path


def test_a_file_of_an_older_version_is_opened_and_brought_up_to_date(old: Path) -> None:
    held = [user("u1", state=b"\0\xff"), user("u2", 2, state=b"\1", deadline=NOW)]
    for _ in range(2):
        store = SqliteStore(old)
        assert list(store.scan_users()) == held
        assert store.read_ledger("u1") == [sent("u1")]
        store.write_users([user("u3", open_sends=3)])
        store.publish_control([b"a"], NOW)
        held = [*held[:2], user("u3", open_sends=3)]
        assert store.read_deadlines((0, ""), 9, lambda _: True) == [(NOW, "u2")]
        assert list(store.scan_users()) == held
        store.close()


def test_the_older_version_goes_on_writing_to_a_file_that_was_brought_up_to_date(old: Path) -> None:
    before = sqlite3.connect(old)
    store = SqliteStore(old)
    columns = "(user, revision, state, profile, deadline)"
    before.execute(f"INSERT INTO users {columns} VALUES ('u4', 1, x'', x'7b7d', NULL)")
    before.commit()
    before.close()
    assert store.read_users(["u4"]) == {"u4": user("u4", state=b"")}
    store.close()


class Refusing(sqlite3.Connection):
    """Lets SQLite refuse to commit while told so; unlike on a full disk the transaction stays open then."""

    commits = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_authorizer(self._judge)

    def _judge(self, action: int, operation: str | None, *_: str | None) -> int:
        refused = action == sqlite3.SQLITE_TRANSACTION and operation == "COMMIT" and not Refusing.commits
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def test_a_commit_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = partial(sqlite3.connect, factory=Refusing, cached_statements=0)  # statements are judged when prepared
    monkeypatch.setattr(sqlite3, "connect", refusing)
    store, other = SqliteStore(tmp_path / "store.db"), SqliteStore(tmp_path / "store.db", busy_seconds=0.1)
    store.write_users([user("u1")])
    monkeypatch.setattr(Refusing, "commits", False)
    with pytest.raises(StoreError, match="SQLite refused: not authorized"):
        store.write_users([user("u1", 2), user("u2")])
    monkeypatch.setattr(Refusing, "commits", True)
    assert list(store.scan_users()) == [user("u1")]
    other.write_users([user("u3")])  # which an open transaction would not let in
    store.write_users([user("u4")])
    assert list(store.scan_users()) == [user("u1"), user("u3"), user("u4")]
    for each in (store, other):
        each.close()


def test_many_may_bring_one_file_up_to_date(old: Path) -> None:
    together = Barrier(6)

    def open_and_write(number: int) -> None:
        together.wait(60)
        store = SqliteStore(old)
        store.write_users([user(f"by {number}", open_sends=number)])
        store.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_and_write, range(6)))
    store = SqliteStore(old)
    rows = store.read_users([f"by {number}" for number in range(6)])
    assert {name: row.open_sends for name, row in rows.items()} == {f"by {number}": number for number in range(6)}
    store.close()
