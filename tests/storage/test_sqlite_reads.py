"""What a large file costs: every statement goes by a key or an index, and no scan has more than a page in memory."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from samples import NOW, event, identity, inbox, lease, letter, member, sent, user

from transforms.storage.rows import (
    EventKey,
    HoldRow,
    InboxMarks,
    MetricRow,
    RecommendationRow,
    RecommendationRun,
    RunRow,
)
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store

#: What a statement may have in memory.
PAGE = 5_000

#: Every method of a store, called so that it reads or writes something.
CALLS: dict[str, Callable[[Store], Any]] = {
    "write_users": lambda store: store.write_users([user("u1", deadline=NOW)]),
    "write_events": lambda store: store.write_events([event("u1")]),
    "write_identities": lambda store: store.write_identities([identity("a1", "u1")]),
    "write_members": lambda store: store.write_members([member("vip", "u1")]),
    "write_metrics": lambda store: store.write_metrics([MetricRow("entered/vip", NOW, 1)]),
    "claim": lambda store: store.claim([sent("u1"), sent("u1")]),
    "record": lambda store: store.record([sent("u1", state="handed_off")]),
    "resolve": lambda store: store.resolve([(sent("u1", state="handed_off"), sent("u1", state="unknown"))]),
    "write_inbox": lambda store: store.write_inbox([inbox("u1")]),
    "mark_inbox": lambda store: store.mark_inbox([inbox("u1")], InboxMarks(opened=NOW)),
    "write_dead_letters": lambda store: store.write_dead_letters([letter(1, "u1")]),
    "mark_replayed": lambda store: store.mark_replayed([letter(1)], NOW),
    "prune_dead_letters": lambda store: store.prune_dead_letters(NOW + 1, 10, 10),
    "write_run": lambda store: store.write_run(RunRow(NOW, "r")),
    "swap_lease": lambda store: store.swap_lease(None, lease("mine")),
    "publish_control": lambda store: store.publish_control([b"a"], NOW),
    "read_users": lambda store: store.read_users(["u1", "u2"]),
    "scan_users": lambda store: list(store.scan_users()),
    "has_users": lambda store: store.has_users(),
    "read_deadlines": lambda store: store.read_deadlines((0, ""), 10, lambda _: True),
    "existing_events": lambda store: store.existing_events([EventKey("u1", NOW, "m1")]),
    "read_events": lambda store: store.read_events("u1", 10),
    "scan_events": lambda store: list(store.scan_events("u1")),
    "scan_archive": lambda store: list(store.scan_archive("u1", "u2")),
    "user_ranges": lambda store: store.user_ranges(3),
    "delete_unapplied": lambda store: store.delete_unapplied(),
    "read_identities": lambda store: store.read_identities("anonymous", ["a1", "a2"]),
    "scan_members": lambda store: list(store.scan_members("vip")),
    "read_ledger": lambda store: store.read_ledger("u1"),
    "scan_ledger": lambda store: list(store.scan_ledger()),
    "scan_leased": lambda store: list(store.scan_leased()),
    "read_inbox": lambda store: store.read_inbox("u1"),
    "add_metrics": lambda store: store.add_metrics([MetricRow("entered/vip", NOW, 1)]),
    "scan_metrics": lambda store: list(store.scan_metrics("entered/", NOW)),
    "read_control": lambda store: store.read_control(10, ["x"], NOW),
    "read_run": lambda store: store.read_run(),
    "read_lease": lambda store: store.read_lease(),
    "delete_control": lambda store: store.delete_control(["x"]),
    "dead_letters_of": lambda store: store.dead_letters_of("u1"),
    "identities_of": lambda store: list(store.identities_of("u1")),
    "mailbox_claims_of": lambda store: list(store.mailbox_claims_of(["s1"])),
    "delete_mailbox_claims": lambda store: [
        store.record([sent("\0mailbox:x", lease=0, detail="s1")]),
        store.delete_mailbox_claims(["s1"]),
    ],
    "write_hold": lambda store: store.write_hold(HoldRow(30, ("mails",), NOW, NOW + 1)),
    "read_hold": lambda store: store.read_hold(),
    "write_recommendations": lambda store: store.write_recommendations(
        [RecommendationRow(NOW, "p1", (("p2", 1.0, 3),))]
    ),
    "publish_recommendations": lambda store: store.publish_recommendations(RecommendationRun(NOW, NOW)),
    "read_recommendation_run": lambda store: store.read_recommendation_run(),
    "read_recommendations": lambda store: store.read_recommendations(NOW, ["p1", "p2"]),
    "delete_user": lambda store: store.delete_user("u1", ["vip"], [("anonymous", "a1")], row=True),
}


class _Cursor(sqlite3.Cursor):
    fetched = 0

    def fetchall(self) -> list[Any]:
        rows = super().fetchall()
        _Cursor.fetched = max(_Cursor.fetched, len(rows))
        return rows


class _Connection(sqlite3.Connection):
    """Notes the statements that it is given, with how many parameters."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: dict[str, int] = {}

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self.asked[sql] = len(values)
        return self.cursor(_Cursor).execute(sql, values)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        rows = list(rows)
        if rows:
            self.asked[sql] = len(rows[0])
        return super().executemany(sql, rows)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SqliteStore, list[_Connection]]]:
    made: list[_Connection] = []

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(real(*arguments, factory=_Connection, **options))
        return made[-1]

    real = partial(sqlite3.connect)
    monkeypatch.setattr(sqlite3, "connect", connect)
    store = SqliteStore(tmp_path / "store.db")
    yield store, made
    store.close()


def test_every_statement_goes_by_a_key_or_an_index(watched: tuple[SqliteStore, list[_Connection]]) -> None:
    store, (connection,) = watched
    methods = {name for part in Store.__mro__ for name in vars(part) if not name.startswith("_")}
    assert CALLS.keys() == methods - {"close", "transaction"}
    for call in CALLS.values():
        call(store)
    setup = ("PRAGMA", "CREATE", "SELECT name FROM sqlite_master")
    asked = {sql: count for sql, count in connection.asked.items() if not sql.startswith(setup)}
    assert len(asked) > len(CALLS)
    for sql, count in asked.items():
        steps = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count).fetchall()]
        slow = [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step]
        # What is given as a list of JSON is read once; columns of a table are asked for by name.
        assert [step for step in slow if "VIRTUAL TABLE" not in step] == [], sql


MANY = 2 * PAGE + 1


def test_a_scan_has_a_page_in_memory(watched: tuple[SqliteStore, list[_Connection]]) -> None:
    store, _ = watched
    names = [f"u{number:05}" for number in range(MANY)]
    store.write_users([user(name, deadline=NOW) for name in names])
    store.write_members([member("vip", name) for name in names] + [member("vip2", "x")])
    store.write_metrics([MetricRow("entered/vip/", number, 1) for number in range(MANY)])
    store.write_metrics([MetricRow("left/vip/", 0, 1)])
    store.record([sent(name) for name in names])
    store.record([sent("u1", f"s{number:05}") for number in range(MANY)])
    store.write_events([event("ann", time=number // 3, message=f"m{number:05}") for number in range(MANY)])
    assert sum(1 for _ in store.scan_users()) == MANY
    assert [row.id for row in store.scan_events("ann")][-3:] == ["m00000", "m00001", "m00002"]
    assert sum(1 for _ in store.scan_events("ann")) == MANY
    assert list(islice(store.scan_events("ann"), 3_000)) == store.read_events("ann", 3_000)
    assert [row.user for row in store.scan_members("vip")] == names
    assert [row.window for row in store.scan_metrics("entered/")] == list(range(MANY))
    assert sum(1 for _ in store.scan_ledger()) == 2 * MANY
    assert store.read_ledger("u1", 3) == store.read_ledger("u1")[:3]
    assert len(store.read_deadlines((NOW, "u00001"), MANY, lambda _: True)) == MANY - 1
    assert len(store.read_users(names)) == MANY
    assert 0 < _Cursor.fetched <= PAGE
