"""What a store has acknowledged of queues: ids as ranges, in the transaction of what they caused."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples import user

from transforms.storage.acknowledged import Ids
from transforms.storage.sqlite.store import SqliteStore

IDS = st.sets(st.integers(1, 60))


@given(st.permutations(range(1, 25)), st.integers(0, 24))
def test_ids_that_are_added_one_by_one_are_those_ranges(order: list[int], count: int) -> None:
    ids = Ids()
    for id_ in order[:count]:
        ids.add(id_)
    added = set(order[:count])
    assert len(ids) == len(added)
    assert ids.ranges() == Ids((id_, id_) for id_ in added).ranges()
    assert ids.before == min(set(range(1, 26)) - added)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), max_size=6), st.integers(1, 60), st.integers(0, 20))
def test_ranges_are_a_set_of_ids(said, start: int, length: int) -> None:
    ranges = [(first, first + more) for first, more in said]
    whole = {id_ for first, last in ranges for id_ in range(first, last + 1)}
    ids = Ids(ranges)
    assert {id_ for first, last in ids.ranges() for id_ in range(first, last + 1)} == whole
    assert len(ids) == len(whole)
    assert all(before[1] + 1 < after[0] for before, after in zip(ids.ranges(), ids.ranges()[1:], strict=False))
    asked = range(start, start + length)
    assert ids.missing(asked) == [id_ for id_ in asked if id_ not in whole]


@given(st.lists(IDS, max_size=6))
def test_a_store_has_all_that_was_acknowledged_by_queue(batches: list[set[int]]) -> None:
    with closing(SqliteStore(":memory:")) as store:
        for batch in batches:
            store.acknowledge("q", sorted(batch))
        store.acknowledge("other", [70])
        whole = {id_ for batch in batches for id_ in batch}
        assert store.read_acknowledged("q").ranges() == Ids((id_, id_) for id_ in whole).ranges()
        assert store.read_acknowledged("other").ranges() == [(70, 70)]
        assert store.read_acknowledged("none").ranges() == []


def test_rows_become_one_before_they_are_many() -> None:
    with closing(SqliteStore(":memory:")) as store:
        for id_ in range(1, 2_001, 2):
            store.acknowledge("q", [id_])
        [(rows,)] = store._query("SELECT count(*) FROM acknowledged")
        assert rows <= 257
        assert store.read_acknowledged("q").ranges() == [(id_, id_) for id_ in range(1, 2_001, 2)]


def test_it_stands_or_falls_with_its_transaction(tmp_path: Path) -> None:
    store, other = SqliteStore(tmp_path / "store.db"), SqliteStore(tmp_path / "store.db")
    with store.transaction():
        store.write_users([user("u1")])
        store.acknowledge("q", [1])
        assert (other.read_users(["u1"]), other.read_acknowledged("q").ranges()) == ({}, [])
    assert (set(other.read_users(["u1"])), other.read_acknowledged("q").ranges()) == ({"u1"}, [(1, 1)])
    with suppress(ZeroDivisionError), store.transaction():
        store.write_users([user("u2")])
        store.acknowledge("q", [2])
        raise ZeroDivisionError
    assert (other.read_users(["u2"]), other.read_acknowledged("q").ranges()) == ({}, [(1, 1)])
    store.close()
    other.close()


def test_beside_a_queue_what_is_committed_is_on_the_disk(tmp_path: Path) -> None:
    def synchronous(**how: bool) -> int:
        with closing(SqliteStore(tmp_path / "store.db", **how)) as store:
            [(found,)] = store._query("PRAGMA synchronous")
            return int(found)

    assert synchronous() == 1  # NORMAL
    assert synchronous(durable=True) == 2
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        store.acknowledge("q", ())
    assert synchronous() == 2  # FULL


def test_statements_go_by_the_key(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        store.acknowledge("q", [1])
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        for sql in (
            "SELECT count(*), coalesce(max(number), 0) FROM acknowledged WHERE queue = ?",
            "SELECT ids FROM acknowledged WHERE queue = ?",
            "DELETE FROM acknowledged WHERE queue = ?",
        ):
            steps = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("q",))]
            assert not [step for step in steps if step.startswith("SCAN")], sql
