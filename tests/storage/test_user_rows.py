"""What every store promises of users."""

from samples import NOW, user

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
