"""What every store promises of deletion."""

from typing import Any

from samples import HOSTILE, NOW, event, identity, member, sent, user

from transforms.storage.rows import EventKey
from transforms.storage.store import Store


def everything(store: Store, name: str) -> list[Any]:
    """All that a store holds of somebody, deletable or not."""
    return [
        *store.read_users([name]).values(),
        *store.read_events(name),
        *store.read_ledger(name),
        *(row for row in store.scan_members("vip") if row.user == name),
        *(row for row in store.read_identities("anonymous", HOSTILE).values() if row.user == name),
    ]


def fill(store: Store) -> dict[str, list[Any]]:
    """Somebody with a row in each table for every hostile id."""
    store.write_users([user(name) for name in HOSTILE])
    store.write_events([event(name, message=message) for name in HOSTILE for message in ("", "m", *HOSTILE[:5])])
    store.record([sent(name, send) for name in HOSTILE for send in ("s", *HOSTILE[:5])])
    store.write_members([member("vip", name) for name in HOSTILE])
    store.write_identities([identity(name, name) for name in HOSTILE])
    return {name: everything(store, name) for name in HOSTILE}


def test_hostile_ids_stay_apart(store: Store) -> None:
    held = fill(store)
    assert {name: len(rows) for name, rows in held.items()} == dict.fromkeys(HOSTILE, 1 + 7 + 6 + 1 + 1)
    assert all(name in (row.user, getattr(row, "value", None)) for name, rows in held.items() for row in rows)
    assert {row.user for row in store.scan_users()} == set(HOSTILE)
    keys = [EventKey(name, NOW, message) for name in HOSTILE for message in HOSTILE[:6]]
    assert set(store.existing_events(keys)) == {key for key in keys if key.id != HOSTILE[5]}


def test_deletion_deletes_all_of_one_user_and_nothing_else(store: Store) -> None:
    held = fill(store)
    for name in HOSTILE[::2]:
        store.delete_user(name, ["vip", "never_in"], [("anonymous", name), ("anonymous", "no such")], row=True)
        held[name] = []
        store.delete_user(name, ["vip"], [("anonymous", name)], row=True)  # deleting may be repeated
    assert {name: everything(store, name) for name in HOSTILE} == held


def test_deletion_leaves_the_users_row_unless_told(store: Store) -> None:
    store.write_users([user("u1")])
    store.write_events([event("u1", NOW - number, f"m{number}") for number in range(1_200)])
    store.delete_user("u1", [], [])
    assert everything(store, "u1") == [user("u1")]
    store.delete_user("u1", [], [], row=True)
    assert everything(store, "u1") == []
    assert not store.has_users()


def test_deletion_leaves_other_segments_and_what_others_own(store: Store) -> None:
    store.write_members([member("vip", "u1"), member("lapsing", "u1")])
    store.write_identities([identity("device", "u2", 2, "token"), identity("device", "u1", 1, "token")])
    store.write_identities([identity("device", "u1", 1, "address")])
    store.delete_user("u1", ["vip"], [("token", "device"), ("address", "device")])
    assert list(store.scan_members("vip")) == []
    assert [row.user for row in store.scan_members("lapsing")] == ["u1"]
    assert store.read_identities("token", ["device"]) == {"device": identity("device", "u2", 2, "token")}
    assert store.read_identities("address", ["device"]) == {}


def test_a_deleted_user_may_come_again(store: Store) -> None:
    store.write_users([user("u1", 5)])
    store.write_events([event("u1")])
    store.delete_user("u1", [], [], row=True)
    store.write_users([user("u1", 6)])
    store.write_events([event("u1", NOW + 1)])
    assert everything(store, "u1") == [user("u1", 6), event("u1", NOW + 1)]
