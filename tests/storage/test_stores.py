"""What every store promises of all its tables together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from samples import event, identity, member, user

from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.storage.store import Store


def test_nothing_is_asked_and_nothing_is_written(store: Store) -> None:
    for write in (store.write_users, store.write_events, store.write_identities, store.write_members, store.record):
        write([])
    store.write_inbox([])
    assert store.read_inbox("nobody") == []
    store.write_metrics([])
    assert store.read_users([]) == {}
    assert store.read_identities("token", []) == {}
    assert set(store.existing_events([])) == set()
    assert store.claim([]) == {}


def test_what_was_written_outlives_the_connection(url: str) -> None:
    store = open_store(url)
    store.write_users([user("u1")])
    store.close()
    again = open_store(url, create=False)
    assert again.read_users(["u1"]) == {"u1": user("u1")}
    again.close()


REVISED: dict[str, Callable[[int, str], Any]] = {
    "users": lambda version, text: user("u1", version, profile=text.encode()),
    "identities": lambda version, text: identity("a1", text, version),
    "members": lambda version, text: member("vip", "u1", version, active=text != "left"),
}


def standing(store: Store, table: str) -> Any:
    """The one row of a table."""
    if table == "users":
        return store.read_users(["u1"])["u1"]
    if table == "identities":
        return store.read_identities("anonymous", ["a1"])["a1"]
    return next(store.scan_members("vip"))


@pytest.mark.parametrize("table", REVISED)
def test_the_greater_version_stands_in_whatever_order(store: Store, table: str) -> None:
    make, write = REVISED[table], getattr(store, f"write_{table}")
    write([make(5, "old")])
    write([make(7, "new")])
    write([make(6, "left")])
    assert standing(store, table) == make(7, "new")
    write([make(8, "newer"), make(4, "left"), make(3, "left")])
    assert standing(store, table) == make(8, "newer")
    write([make(9, "left"), make(10, "newest")])
    write([make(5, "left")])
    assert standing(store, table) == make(10, "newest")


@pytest.mark.parametrize("table", REVISED)
def test_of_equal_versions_the_last_write_stands(store: Store, table: str) -> None:
    make, write = REVISED[table], getattr(store, f"write_{table}")
    write([make(0, "left")])
    write([make(0, "left"), make(0, "second")])
    assert standing(store, table) == make(0, "second")


def test_a_transaction_that_fails_leaves_nothing_in_sqlite_and_rows_by_themselves_in_bigtable(store: Store) -> None:
    with store.transaction():
        store.write_users([user("u1")])
        store.add_metrics([MetricRow("a", 0, 1)])

    def fail() -> None:
        with store.transaction():
            store.write_users([user("u2")])
            with store.transaction():
                store.add_metrics([MetricRow("a", 0, 2)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    whole = type(store).__name__ == "SqliteStore"
    assert [row.user for row in store.scan_users()] == (["u1"] if whole else ["u1", "u2"])
    assert list(store.scan_metrics("")) == [MetricRow("a", 0, 1 if whole else 3)]


def test_threads_share_a_store(store: Store) -> None:
    def work(number: int) -> int:
        names = [f"u{number}-{each}" for each in range(200)]
        store.write_users([user(name, 1 + number) for name in [*names, "shared"]])
        store.write_events([event(name) for name in names])
        return len(store.read_users(names)) + sum(len(store.read_events(name)) for name in names[:5])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [205] * 8
    assert len(list(store.scan_users())) == 8 * 200 + 1
    assert store.read_users(["shared"])["shared"] == user("shared", 8)
