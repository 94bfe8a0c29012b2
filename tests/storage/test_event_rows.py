"""What every store promises of the archive of events."""

from samples import NOW, event, user

from transforms.storage.rows import EventKey
from transforms.storage.store import Store


def test_events_come_newest_first(store: Store) -> None:
    times = [NOW, NOW - 1, NOW + 1, 0, -1, -62_135_596_800_000_000, 253_402_300_799_999_999]
    rows = [event("u1", time, message) for time in times for message in ("b", "a", "a#", "B")]
    store.write_events([*rows, event("u10"), event("u"), event("u1#")])
    expected = sorted(rows, key=lambda row: (-row.time, row.id))
    assert store.read_events("u1") == expected
    for limit in (0, 1, 5, len(rows), len(rows) + 1):
        assert store.read_events("u1", limit) == expected[:limit]
    assert store.read_events("nobody") == []


def test_thousands_of_events_of_one_user(store: Store) -> None:
    rows = [event("u1", NOW - number, f"m{number}") for number in range(1_500)]
    store.write_events(rows[::-1])
    assert store.read_events("u1") == rows
    assert store.read_events("u1", 1_200) == rows[:1_200]
    wanted = [EventKey("u1", row.time, row.id) for row in rows[::2]]
    missing = [EventKey("u1", NOW + 1, "m0"), EventKey("u1", NOW, "m1"), EventKey("u2", NOW, "m0")]
    assert set(store.existing_events([*wanted, *missing])) == set(wanted)


def test_events_of_which_users_know_nothing_can_be_deleted(store: Store) -> None:
    store.write_users([user("u1", 5), user("u2#", 1), user("~a", 3), user("older", 9)])
    kept = [event("u1", message="m5", version=5), event("u1", NOW - 1, version=1), event("older"), event("nobody")]
    kept += [event("u2#", version=1), *(event("~a", message=f"m{number}", version=3) for number in range(1_100))]
    gone = [event("u1", message="m6", version=6), event("u2", version=1), event("~a", NOW + 1, version=4)]
    store.write_events([*kept, *gone])
    for _ in range(2):
        store.delete_unapplied()
        found = [row for name in ("u1", "u2", "u2#", "~a", "older", "nobody") for row in store.read_events(name)]
        assert sorted(map(repr, found)) == sorted(map(repr, kept))


def test_an_event_written_again_is_one_row(store: Store) -> None:
    store.write_events([event("u1", payload=b"first"), event("u1", payload=b"second")])
    assert store.read_events("u1") == [event("u1", payload=b"second")]
    store.write_events([event("u1", arrival=NOW - 10, payload=b"third")])
    assert store.read_events("u1") == [event("u1", arrival=NOW - 10, payload=b"third")]
