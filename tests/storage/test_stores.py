"""What every store promises: users, events, identities, members, metrics, runs and deletion."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW, event, identity, inbox, lease, member, sent, user
from strength import examples

from transforms.storage.open import open_store
from transforms.storage.rows import EventKey, MetricRow, RunRow
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


def test_an_inbox_is_read_newest_first_and_a_row_is_written_over(store: Store) -> None:
    rows = [inbox("u1", NOW - 1), inbox("u1", NOW, "s2"), inbox("u1", NOW, "s1"), inbox("u1#", NOW), inbox("u", NOW)]
    store.write_inbox(rows)
    store.write_inbox([inbox("u1", NOW, "s2", title="届け", data=b'{"a":1}', expires=NOW + 5)])
    changed = inbox("u1", NOW, "s2", title="届け", data=b'{"a":1}', expires=NOW + 5)
    assert store.read_inbox("u1") == [rows[2], changed, rows[0]]
    assert [row.user for name in ("u1#", "u") for row in store.read_inbox(name)] == ["u1#", "u"]


def test_an_inbox_goes_with_its_user(store: Store) -> None:
    store.write_inbox([inbox("u1"), inbox("u2")])
    store.delete_user("u1", [], [])
    assert (store.read_inbox("u1"), store.read_inbox("u2")) == ([], [inbox("u2")])


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


def test_registrations_before_1970_are_the_oldest(store: Store) -> None:
    store.write_identities([identity("a1", "u1", -62_135_596_800_000)])
    assert store.read_identities("anonymous", ["a1"]) == {"a1": identity("a1", "u1", -62_135_596_800_000)}
    store.write_identities([identity("a1", "u2", 1)])
    store.write_identities([identity("a1", "u3", -1)])
    assert store.read_identities("anonymous", ["a1"]) == {"a1": identity("a1", "u2", 1)}


def test_ten_thousand_users_at_once(store: Store) -> None:
    rows = {f"user {number}": user(f"user {number}") for number in range(MANY)}
    store.write_users(list(rows.values()))
    assert store.read_users([*rows, "nobody"]) == rows
    scanned = list(store.scan_users())
    assert len(scanned) == MANY
    assert {row.user: row for row in scanned} == rows
    assert list(store.scan_users()) == scanned, "the order of the keys is always the same"


def test_ten_thousand_members_and_tombstones(store: Store) -> None:
    store.write_members([member("vip", f"u{number}") for number in range(MANY)])
    store.write_members([member("vip", f"u{number}", 2, active=False) for number in range(0, MANY, 2)])
    store.write_members([member("vip_old", "u0"), member("vi", "u0")])
    assert {row.user for row in store.scan_members("vip")} == {f"u{number}" for number in range(1, MANY, 2)}
    assert [row.user for row in store.scan_members("vip_old")] == ["u0"]
    assert list(store.scan_members("v")) == []


def test_who_left_may_come_back(store: Store) -> None:
    store.write_members([member("vip", "u1", 1)])
    store.write_members([member("vip", "u1", 2, active=False)])
    assert list(store.scan_members("vip")) == []
    store.write_members([member("vip", "u1", 3)])
    assert list(store.scan_members("vip")) == [member("vip", "u1", 3)]


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


def test_metrics_come_by_series_and_window(store: Store) -> None:
    names = ["a", "a b", "a!", "a#", "a#b", "a\0", "a\0b", "aa", "b", "flow/届け", "flow/vip", "", "A"]
    rows = [MetricRow(name, window, 1) for name in names for window in (-NOW, -1, 0, 1, NOW)]
    store.write_metrics([*rows[::-1], *(MetricRow(row.series, row.window, 2) for row in rows[:10])])
    written = [*(MetricRow(row.series, row.window, 2) for row in rows[:10]), *rows[10:]]
    expected = sorted(written, key=lambda row: (row.series, row.window))
    for prefix in ("", "a", "a ", "a#", "a\0", "flow/", "flow/届", "c"):
        assert list(store.scan_metrics(prefix)) == [row for row in expected if row.series.startswith(prefix)]
        assert list(store.scan_metrics(prefix, 0)) == [
            row for row in expected if row.series.startswith(prefix) and row.window >= 0
        ]


MOST = 2**63 - 1
added = st.lists(
    st.tuples(
        st.sampled_from(["read{}", 'sends{reason="\\""}', "a\0b/届"]), st.sampled_from([0, NOW]), st.integers(-9, 9)
    )
)


@settings(max_examples=examples(30), suppress_health_check=list(HealthCheck))
@given(st.lists(added, max_size=4))
def test_counts_add_up_however_they_are_added(store: Store, writes: list[list[tuple[str, int, int]]]) -> None:
    before = {(row.series, row.window): row.count for row in store.scan_metrics("")}
    expected = Counter(before)
    for rows in writes:
        store.add_metrics([MetricRow(*row) for row in rows])
        for *key, count in rows:
            expected[tuple(key)] += count
    found = {(row.series, row.window): row.count for row in store.scan_metrics("")}
    assert found == {key: expected[key] for key in found}
    assert all(found.get(key, 0) == count for key, count in expected.items())


def test_a_count_is_at_most_what_64_bits_hold(store: Store) -> None:
    store.write_metrics([MetricRow("a", 0, MOST - 1), MetricRow("b", 0, 1 - MOST)])
    for count in (0, 1, 1, MOST, -3):
        store.add_metrics([MetricRow("a", 0, count), MetricRow("b", 0, -count)])
    assert [row.count for row in store.scan_metrics("")] == [MOST - 3, -MOST + 2]


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


def test_the_last_run_stands(store: Store) -> None:
    assert store.read_run() is None
    store.write_run(RunRow(NOW, "abc", (-(2**63), 2**63 - 1), ("lapsing", "vip"), finished=False))
    store.write_run(RunRow(NOW - 1, "abd", (-(2**63), 5), ("vip",)))
    assert store.read_run() == RunRow(NOW - 1, "abd", (-(2**63), 5), ("vip",), finished=True)


def test_a_lease_is_written_only_over_what_was_read(store: Store) -> None:
    assert store.read_lease() is None
    assert not store.swap_lease(lease("a"), lease("b"))
    assert store.swap_lease(None, lease("a"))
    assert not store.swap_lease(None, lease("b"))
    assert not store.swap_lease(lease("a", NOW + 1), lease("b"))
    assert store.read_lease() == lease("a")
    assert store.swap_lease(lease("a"), lease("b", NOW + 9))
    assert store.read_lease() == lease("b", NOW + 9)
    assert store.read_run() is None


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
