"""A SQLite file that is read by people: nothing is changed, whoever writes to it, and whoever may not."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import NOW, event, inbox, lease, letter, member, sent, user
from test_sqlite_reads import _Connection

from transforms.storage.open import open_reader, open_store
from transforms.storage.reader import Reader
from transforms.storage.rows import MetricRow, RunRow
from transforms.storage.sends import SendsAsked
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import NoStore, OlderStore, StoreError

ROOT = Path(__file__).parent.parent.parent

#: Every list, read so that each of its statements is asked: two pages, filters, more than one campaign and time.
CALLS: dict[str, Callable[[Reader], Any]] = {
    "read_users": lambda reader: reader.read_users(["u1"]),
    "read_identities": lambda reader: reader.read_identities("anonymous", ["a1", "a2"]),
    "read_run": lambda reader: reader.read_run(),
    "read_lease": lambda reader: reader.read_lease(),
    "page_events": lambda reader: reader.page_events("u1", 1, reader.page_events("u1", 1).next),
    "page_decisions": lambda reader: reader.page_decisions("u1", 1, reader.page_decisions("u1", 1).next),
    "page_inbox": lambda reader: reader.page_inbox("u1", 1, reader.page_inbox("u1", 1).next),
    "page_members": lambda reader: reader.page_members("vip", 1, reader.page_members("vip", 1).next),
    "count_members": lambda reader: reader.count_members("vip"),
    "scan_metrics": lambda reader: [*reader.scan_metrics("a"), *reader.scan_metrics("", 1)],
    "scan_members": lambda reader: list(reader.scan_members("vip")),
    "page_sends": lambda reader: [
        reader.page_sends(asked, 1, reader.page_sends(asked, 1).next)
        for asked in (SendsAsked(), SendsAsked(("failed",), "gift", "quiet", NOW - 9))
    ],
    "campaigns_of_sends": lambda reader: reader.campaigns_of_sends(),
    "page_dead_letters": lambda reader: reader.page_dead_letters(
        1, reader.page_dead_letters(1, since=NOW - 9).next, cause="invalid", since=NOW - 9
    ),
}


def fill(store: SqliteStore) -> None:
    store.write_users([user("u1"), user("u2")])
    for at in (NOW, NOW, NOW - 1):
        store.write_events([event("u1", at, name) for name in "ab"])
        store.write_inbox([inbox("u1", at, name) for name in "ab"])
        store.write_dead_letters([letter(time=at, id=f"{at}{each}") for each in "ab"])
        for campaign in ("gift", "other"):
            said = {"state": "failed", "decided_at": at, "campaign": campaign}
            store.record([sent("u1", f"{at}{campaign}{each}", **said) for each in "ab"])
    store.write_members([member("vip", name) for name in ("u1", "u2")])
    store.write_metrics([MetricRow("a", window, 1) for window in range(3)])
    store.write_run(RunRow(NOW, "r"))
    store.swap_lease(None, lease("mine"))


def everything(reader: Reader) -> dict[str, Any]:
    return {name: call(reader) for name, call in CALLS.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "a b%23?.db"
    path.parent.mkdir()
    return path


def test_every_statement_goes_by_a_key_or_an_index(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    fill(store)
    store.close()
    made: list[_Connection] = []
    real = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(real(*arguments, factory=_Connection, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", connect)
    reader = open_reader(f"sqlite:{path}")
    assert CALLS.keys() == {name for name in vars(Reader) if not name.startswith("_")} - {"close"}
    everything(reader)
    (connection,) = made
    asked = {
        sql: count for sql, count in connection.asked.items() if "sqlite_master" not in sql and "pragma" not in sql
    }
    assert len(asked) > len(CALLS)
    for sql, count in asked.items():
        assert sql.startswith("SELECT")
        steps = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count).fetchall()]
        assert [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step] == [], sql
    reader.close()


def test_a_reader_sees_what_a_job_writes_meanwhile_and_keeps_nobody_from_it(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=0.1)
    fill(store)
    reader = open_reader(f"sqlite:{path}")
    page = reader.page_members("vip", 1)
    store.write_members([member("vip", "u3")])
    assert [row.user for row in reader.page_members("vip", 9, page.next).rows] == ["u2", "u3"]
    with store._transaction() as writing:  # which is open, and not committed
        writing.execute("DELETE FROM members")
        assert len(reader.page_members("vip", 9).rows) == 3
    assert reader.page_members("vip", 9).rows == []
    store.close()
    assert len(reader.page_events("u1", 9).rows) == 4, "the job has ended, and put the file in order"
    reader.close()


def test_a_reader_cannot_write(path: Path) -> None:
    SqliteStore(path).close()
    before = path.read_bytes()
    reader: Any = open_reader(f"sqlite:{path}")
    with pytest.raises(StoreError, match="readonly"):
        reader._lists.write_users([user("u1")])
    reader.close()
    assert path.read_bytes() == before


#: Reads everything, and says it, as somebody who owns nothing here.
STRANGER = """
import os, sys
url, user = sys.argv[1:]
sys.path.insert(0, "tests/storage"); sys.path.insert(0, "tests")
from test_sqlite_lists import everything, open_reader
from transforms.storage.sqlite.lists import SqliteLists
if user:  # now that all is imported, which may lie where nobody else may read
    os.setgroups([]); os.setgid(int(user)); os.setuid(int(user))
reader = open_reader(url)
print(everything(reader))
"""


def read_by_a_stranger(path: Path) -> subprocess.CompletedProcess[str]:
    """Read by a process that may write neither the file nor its folder."""
    for folder in (path.parent, *path.parent.parents):
        if folder.owner() == path.owner() and folder.is_relative_to(Path(os.environ.get("TMPDIR", "/tmp"))):
            folder.chmod(0o755)
    path.parent.chmod(0o555)
    for each in path.parent.iterdir():
        each.chmod(0o444)
    who = "65534" if os.geteuid() == 0 else ""
    command = [sys.executable, "-c", STRANGER, f"sqlite:{path}", who]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_who_may_not_write_can_read(path: Path) -> None:
    store = SqliteStore(path)
    fill(store)
    store.close()
    reader = open_reader(f"sqlite:{path}")
    expected = everything(reader)
    reader.close()
    done = read_by_a_stranger(path)
    assert (done.stderr, done.stdout) == ("", f"{expected}\n")


def test_who_may_not_write_is_told_of_a_log_that_a_killed_job_left(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "live.db")
    fill(store)
    shutil.copy(tmp_path / "live.db", path)
    shutil.copy(tmp_path / "live.db-wal", f"{path}-wal")
    store.close()
    done = read_by_a_stranger(path)
    assert done.returncode == 1, "what is in the log would be missed"
    assert "StoreError" in done.stderr


def test_a_log_that_a_killed_job_left_is_read(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "live.db")
    fill(store)
    shutil.copy(tmp_path / "live.db", path)
    shutil.copy(tmp_path / "live.db-wal", f"{path}-wal")
    live, killed = open_reader(f"sqlite:{tmp_path / 'live.db'}"), open_reader(f"sqlite:{path}")
    assert everything(killed) == everything(live)
    for each in (live, killed, store):
        each.close()


def test_an_older_file_is_named_and_brought_up_to_date_by_opening_it_to_write(path: Path) -> None:
    store = SqliteStore(path)
    fill(store)
    store.close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP INDEX ledger_by_state; DROP TABLE dead_letters")
    connection.close()
    with pytest.raises(OlderStore, match="lacks dead_letters, ledger_by_state, dead_letters_by_user"):
        open_reader(f"sqlite:{path}")
    open_store(f"sqlite:{path}").close()
    reader = open_reader(f"sqlite:{path}")
    assert len(reader.page_sends(SendsAsked(("failed",), "gift"), 9).rows) == 4
    assert reader.page_dead_letters(9).rows == []
    reader.close()


@pytest.mark.parametrize("held", ["not a database, and longer than the header of one" * 10, ""])
def test_what_is_no_store_is_refused(path: Path, held: str) -> None:
    path.write_text(held)
    with pytest.raises(NoStore, match="a b%23"):
        open_reader(f"sqlite:{path}")
    assert path.read_text() == held
    assert [each.name for each in path.parent.iterdir()] == [path.name]
