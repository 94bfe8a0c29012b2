"""What is SQLite's own: files that an older version made, and commits that fail."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest
from samples import NOW, letter, sent, user

from todoke.store import open_asked_reader
from transforms.storage.open import open_reader, open_store
from transforms.storage.pages import every
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import NoStore, StoreError

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


#: Dead letters as the first version kept them.
OLD_LETTERS = """
CREATE TABLE dead_letters (time INTEGER, id TEXT, user TEXT, source TEXT, cause TEXT, detail TEXT,
    payload BLOB, size INTEGER, replayed INTEGER, weight INTEGER, PRIMARY KEY (time DESC, id));
CREATE INDEX dead_letters_by_user ON dead_letters (user);
CREATE INDEX dead_letters_by_weight ON dead_letters (time DESC, id, weight);
INSERT INTO dead_letters VALUES (7, 'a', 'ada', 's', 'not_json', 'd', x'7b', 1, 0, 200),
    (5, 'a', 'ada', 's', 'not_json', 'd', x'7b', 1, 0, 200), (6, 'b', '', 's', 'hot_id', 'd', x'7b7d', 2, 9, 201);
"""


def test_a_file_whose_letters_were_kept_by_time_is_a_store_and_keeps_them(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(OLD_LETTERS)
    with open_asked_reader(f"sqlite:{old}") as reader:
        found = reader.page_dead_letters(9).rows
    assert [(row.id, row.time, row.arrived, row.cause, row.payload, row.replayed) for row in found] == [
        ("b", 6, 6, "hot_id", b"{}", 9),
        ("a", 5, 5, "not_json", b"{", 0),
    ]
    store = SqliteStore(old)
    store.write_dead_letters([msgspec.structs.replace(found[0], arrived=10), letter(time=8, id="c")])
    store.close()
    reader = open_reader(f"sqlite:{old}")
    assert [(row.id, row.replayed) for row in reader.page_dead_letters(9).rows] == [("c", 0), ("b", 0), ("a", 0)]
    reader.close()
    with closing(sqlite3.connect(old)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "dead_letters_before" not in tables
    assert "dead_letters_by_user" in tables


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


#: What other programs keep under our names.
OTHERS = [
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE ledger (account TEXT, amount INTEGER)",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)",
    "CREATE TABLE notes (text TEXT)",
    "PRAGMA application_id = 7; CREATE TABLE users (user TEXT)",
]


@pytest.mark.parametrize("script", OTHERS)
def test_the_file_of_another_program_stays_as_it_is(tmp_path: Path, script: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    before = path.read_bytes()
    for opening in (open_store, partial(open_store, create=False), open_reader):
        with pytest.raises(NoStore, match=r"other\.db is a SQLite file of another program"):
            opening(f"sqlite:{path}")
    assert path.read_bytes() == before


def test_a_store_is_known_by_its_mark_whatever_else_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    open_store(f"sqlite:{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"TDOK"),)
        connection.executescript("CREATE TABLE notes (text TEXT); PRAGMA application_id = 0")  # as older ones have
    open_store(f"sqlite:{path}", create=False).close()
    open_reader(f"sqlite:{path}").close()


def test_reading_an_empty_file_makes_no_store_of_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch()
    with pytest.raises(NoStore, match="is empty"):
        open_store(f"sqlite:{path}", create=False)
    with pytest.raises(NoStore, match="is empty"), open_asked_reader(f"sqlite:{path}"):
        pass
    assert path.read_bytes() == b""
    open_store(f"sqlite:{path}").close()
    open_reader(f"sqlite:{path}").close()


def test_a_page_of_large_letters_is_bounded_and_all_are_found(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    store.write_dead_letters(
        [msgspec.structs.replace(letter(time=at, id=str(at)), payload=b"x" * 900_000) for at in range(25)]
    )
    store.close()
    reader = open_reader(f"sqlite:{tmp_path / 'store.db'}")
    page = reader.page_dead_letters(1_000)
    assert (len(page.rows), page.next is None) == (9, False)
    found = every(lambda cursor: reader.page_dead_letters(1_000, cursor))
    assert [row.time for row in found] == [*range(24, -1, -1)]
    reader.close()
