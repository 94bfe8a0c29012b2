"""What every store promises of identities."""

from samples import identity

from transforms.storage.store import Store


def test_registrations_before_1970_are_the_oldest(store: Store) -> None:
    store.write_identities([identity("a1", "u1", -62_135_596_800_000)])
    assert store.read_identities("anonymous", ["a1"]) == {"a1": identity("a1", "u1", -62_135_596_800_000)}
    store.write_identities([identity("a1", "u2", 1)])
    store.write_identities([identity("a1", "u3", -1)])
    assert store.read_identities("anonymous", ["a1"]) == {"a1": identity("a1", "u2", 1)}


def test_identities_of_different_kinds_do_not_mix(store: Store) -> None:
    rows = {kind: identity("same", f"owner by {kind}", kind=kind) for kind in ("anonymous", "token", "address")}
    store.write_identities(list(rows.values()))
    for kind, row in rows.items():
        assert store.read_identities(kind, ["same", "other"]) == {"same": row}


def test_a_value_may_be_longer_than_a_row_key(store: Store) -> None:
    tokens = ["t" * 4096, "t" * 4095 + "u", "語" * 4096]
    rows = {token: identity(token, f"u{number}", kind="token") for number, token in enumerate(tokens)}
    store.write_identities(list(rows.values()))
    assert store.read_identities("token", tokens) == rows
