"""What every store promises of users."""

import pytest
from samples import NOW, event, user

from transforms.storage.store import Store

MANY = 10_000


def test_a_user_is_read_as_written(store: Store) -> None:
    rows = [
        user("with a deadline", deadline=NOW),
        user("without"),
        user("~anonymous", 1_772_000_000_000, state=bytes(range(256)), profile='{"名": "😀"}'.encode()),
        user("empty", state=b"", profile=b"", deadline=-1),
        user("with open sends", open_sends=3),
    ]
    store.write_users(rows)
    assert store.read_users(["nobody", *(row.user for row in rows)]) == {row.user: row for row in rows}


def test_a_store_knows_whether_it_has_users(store: Store) -> None:
    assert not store.has_users()
    assert list(store.scan_users()) == []
    store.write_users([user("u1")])
    assert store.has_users()


def test_deadlines_are_read_in_their_order_from_one_on(store: Store) -> None:
    names = {"a": 5, "b": 3, "c": None, "d": 5, "~e": 4, "f": -1}
    store.write_users([user(name, deadline=deadline) for name, deadline in names.items()])
    every = [(-1, "f"), (3, "b"), (4, "~e"), (5, "a"), (5, "d")]
    assert store.read_deadlines((-(2**63), ""), 9, lambda _: True) == every
    assert store.read_deadlines((3, "b"), 3, lambda _: True) == every[1:4]
    assert store.read_deadlines((5, "a\0"), 3, lambda _: True) == every[4:]
    assert store.read_deadlines((0, ""), 2, lambda name: name in "bd") == [(3, "b"), (5, "d")]
    store.write_users([user("b", 2), user("a", 2, deadline=6)])
    assert store.read_deadlines((0, ""), 9, lambda _: True) == [(4, "~e"), (5, "d"), (6, "a")]


def test_ten_thousand_users_at_once(store: Store) -> None:
    rows = {f"user {number}": user(f"user {number}") for number in range(MANY)}
    store.write_users(list(rows.values()))
    assert store.read_users([*rows, "nobody"]) == rows
    scanned = list(store.scan_users())
    assert len(scanned) == MANY
    assert {row.user: row for row in scanned} == rows
    assert list(store.scan_users()) == scanned, "the order of the keys is always the same"


@pytest.mark.parametrize("many", [1, 2, 7, 500])
@pytest.mark.parametrize("users", [0, 1, 3, 100])
def test_ranges_are_all_users_also_those_who_come_later(store: Store, many: int, users: int) -> None:
    store.write_users([user(f"u{number}") for number in range(users)])
    ranges = store.user_ranges(many)
    assert 1 <= len(ranges) <= many
    store.write_users([user(name) for name in ("a", "~visitor", "zz", "u5 and more", "😀")])
    assert [row for each in ranges for row in store.scan_users(each)] == list(store.scan_users())


def test_ranges_are_about_as_large_as_each_other(store: Store) -> None:
    store.write_users([user(f"user {number}") for number in range(1_000)])
    sizes = [sum(1 for _ in store.scan_users(each)) for each in store.user_ranges(8)]
    assert len(sizes) == 8
    assert 60 < min(sizes) <= max(sizes) < 200


def test_the_archive_of_some_users_is_read_in_their_order(store: Store) -> None:
    names = [f"u{number}" for number in range(20)]
    store.write_users([user(name) for name in names])
    store.write_events([event(name, NOW + at, f"m{at}") for name in names if name != "u7" for at in range(3)])
    order = [row.user for row in store.scan_users()]
    for first, last in ((0, 19), (3, 9), (5, 5)):
        expected = [row for name in order[first : last + 1] for row in store.scan_events(name)]
        assert list(store.scan_archive(order[first], order[last])) == expected
