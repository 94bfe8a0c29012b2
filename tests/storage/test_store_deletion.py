"""What every store promises of deletion."""

from typing import Any

import msgspec
from samples import HOSTILE, NOW, event, identity, letter, member, sent, user

from transforms.storage.bigtable import keys
from transforms.storage.ledger import MAILBOX_CLAIM
from transforms.storage.open import open_store
from transforms.storage.rows import EventKey, LedgerRow, LedgerState
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


def test_deletion_takes_what_is_not_named_and_leaves_what_others_own(store: Store) -> None:
    """Memberships of segments that are no more, addresses of before, and that others' tokens were the user's."""
    store.write_members([member(segment, name) for segment in ("vip", "lapsing", "x#y") for name in ("u1", "u2")])
    store.write_identities([identity("device", "u1", 1, "token"), identity("mine", "u1", 1, "token")])
    store.write_identities([identity(value, "u1", 1, "address") for value in ("a@example.com", "x" * 2_000)])
    taken = msgspec.structs.replace(identity("device", "u2", 2, "token"), previous="u1")
    store.write_identities([taken, msgspec.structs.replace(identity("third", "u2", 2, "token"), previous="u3")])
    store.delete_user("u1", ["vip", "never_in"], [])
    assert [row.user for segment in ("vip", "lapsing", "x#y") for row in store.scan_members(segment)] == ["u2"] * 3
    assert store.read_identities("token", ["device", "mine", "third"]) == {
        "device": identity("device", "u2", 2, "token"),
        "third": msgspec.structs.replace(identity("third", "u2", 2, "token"), previous="u3"),
    }
    assert store.read_identities("address", ["a@example.com", "x" * 2_000]) == {}
    store.write_identities([identity("device", "u2", 1, "token")])
    assert store.read_identities("token", ["device"]) == {"device": identity("device", "u2", 2, "token")}


def test_what_an_older_version_wrote_to_bigtable_is_found_by_name(bigtable: Any) -> None:
    store: Any = open_store(bigtable.url)
    row = identity("t1", "u1", 5, "token")
    store._write("identities", {keys.identity_key("token", "t1"): (5, row)})
    store.delete_user("u1", [], [("token", "t1")])
    assert store.read_identities("token", ["t1"]) == {}
    store.close()


def test_a_deleted_user_may_come_again(store: Store) -> None:
    store.write_users([user("u1", 5)])
    store.write_events([event("u1")])
    store.delete_user("u1", [], [], row=True)
    store.write_users([user("u1", 6)])
    store.write_events([event("u1", NOW + 1)])
    assert everything(store, "u1") == [user("u1", 6), event("u1", NOW + 1)]


OWNED = [("address", "old@example.com", "u1"), ("anonymous", "a1", "u1"), ("token", "t", "u2"), ("address", "x", "u")]


def test_what_names_a_user_is_found(store: Store) -> None:
    store.write_identities([identity(value, user, 1, kind) for kind, value, user in OWNED])
    store.write_identities([identity("taken", "u1", 1, "token")])
    store.write_identities([identity("taken", "u2", 2, "token")])
    store.write_dead_letters([letter(number, user) for number, user in enumerate(("u1", "u2", "u1", "u"))])
    store.record([claim("m1", "s1"), claim("m2", "s2"), claim("m3", "s3"), sent("u1", "s1"), sent("u1", "s9")])
    assert sorted((row.kind, row.value) for row in store.identities_of("u1")) == [
        ("address", "old@example.com"),
        ("anonymous", "a1"),
    ]
    assert sorted(row.user for row in store.dead_letters_of("u1")) == ["u1", "u1"]
    assert sorted(row.send for row in store.mailbox_claims_of(["s1", "s3", "s9", "none"])) == ["m1", "m3"]
    assert list(store.mailbox_claims_of([])) == []


def test_claims_of_mailboxes_are_deleted_by_the_sends_that_have_them(store: Store) -> None:
    store.record([claim("m1", "s1"), claim("m2", "s2"), claim("m3", "s3"), sent("u1", "s1"), sent("u2", "s2")])
    store.delete_mailbox_claims(["s3", "none"])
    store.delete_mailbox_claims([])
    assert sorted(row.detail for row in store.scan_ledger() if row.user.startswith(MAILBOX_CLAIM)) == ["s1", "s2"]
    store.delete_user("u1", [], [])
    left = sorted(row.detail for row in store.scan_ledger() if row.user.startswith(MAILBOX_CLAIM))
    assert left == (["s2"] if store.is_transactional else ["s1", "s2"])


def claim(mailbox: str, send: str) -> LedgerRow:
    """What a courier writes so that a mailbox gets a mail once."""
    row = sent(f"{MAILBOX_CLAIM}{mailbox}", mailbox)
    return msgspec.structs.replace(row, state=LedgerState.CLAIMED, lease=0, detail=send)
