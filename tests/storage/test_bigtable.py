"""What is Bigtable's own: the layout of stored rows, bounded tries, and failures that surface."""

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
import msgspec
import pytest
from emulators import Emulator, start_bigtable
from flaky import Flaky, alter, lose, refuse
from google.cloud.bigtable.data import BigtableDataClient, ReadRowsQuery, SetCell
from google.cloud.bigtable_v2.types import MutateRowsRequest
from samples import NOW, event, identity, lease, letter, member, sent, user

from transforms.storage.bigtable import keys
from transforms.storage.bigtable.store import BigtableStore
from transforms.storage.rows import EventKey, MetricRow, RunRow
from transforms.storage.store import Store, StoreError

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

#: Stored rows have these keys: a change loses them. (The hashes are BLAKE2b of two bytes: `printf u1 | b2sum -l 16`.)
LAYOUT = [
    (keys.user_key("u1"), b"41f9#u1"),
    (keys.user_key("~anon 7"), b"4dfb#~anon$`7"),
    (keys.event_key("u1", NOW, "m-1"), b"41f9#u1#7ff9b46019753fff#m-1"),
    (keys.event_key("a#b\0", -1, "$"), b"6be8#a$cb$@#8000000000000000#$d"),
    (keys.identity_key("token", "d:T"), b"97f4#token#d:T"),
    (
        keys.identity_key("address", "語" * 400),
        b"3dc4#address#$he4f96d2deecb6e7e653fa846f55c4e31010b2ffd8db4b3d94d39d0b8da3b110d",
    ),
    (keys.member_key("vip", "u1"), b"vip#41#u1"),
    (keys.ledger_key("届", "5f2c"), b"84e6#\xe5\xb1\x8a#5f2c"),
    (keys.listed_key("failed", "届", (NOW, "u1", "5f2c")), b"failed#\xe5\xb1\x8a#4#7ff9b46019753fff#u1#5f2c"),
    (keys.listed_key("failed", "a#b", (NOW, "u1", "5f2c"), 7), b"failed#a$cb#7#7ff9b46019753fff#u1#5f2c"),
    (keys.letter_id("0f1e"), b"i#0f1e"),
    (keys.letter_key(NOW, "0f1e"), b"t#7ff9b46019753fff#0f1e"),
    (keys.letter_of("~a", NOW, "0f1e"), b"u#" + keys.user_key("~a") + b"#t#7ff9b46019753fff#0f1e"),
    (keys.metric_key("flow/vip", NOW), b"flow/vip#80064b9fe68ac000"),
    (keys.metric_key("a b", -1), b"a$`b#7fffffffffffffff"),
    (keys.RUN_KEY, b"run"),
    (keys.LEASE_KEY, b"lease"),
    (keys.HOLD_KEY, b"hold"),
    (keys.control_key("80064b9fe68ac000-189744d6dd1d8000-0f1e"), b"80064b9fe68ac000-189744d6dd1d8000-0f1e"),
]


@pytest.mark.parametrize(("key", "stored"), LAYOUT)
def test_keys_are_as_stored(key: bytes, stored: bytes) -> None:
    assert key == stored


def test_no_key_is_longer_than_bigtable_takes() -> None:
    worst = "\0" * 4096
    longest = [
        keys.event_key(worst, NOW, worst),
        keys.listed_key("failed", worst, (NOW, "\0" * 256, worst)),
        keys.ledger_key(worst, worst),
        keys.identity_key("token", worst),
    ]
    longest += [keys.event_key("\0" * 256, NOW, "\0" * 256), keys.identity_key("token", "\0" * 512)]
    assert max(len(key) for key in longest) <= 4096


@pytest.fixture
def flaky(bigtable: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    server = Flaky(bigtable.host)
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", server.host)
    yield server
    server.stop()


@pytest.fixture
def store(flaky: Flaky, bigtable: Any) -> Iterator[BigtableStore]:
    """A store behind the flaky server, which tries four times."""
    store = BigtableStore(bigtable.project, bigtable.name, create=True, tries=4)
    yield store
    store.close()


def test_cells_are_as_stored(store: BigtableStore, bigtable: Any) -> None:
    store.write_users([user("u1", 7), user("u1", 6)])
    store.write_events([event("u1")])
    store.write_identities([identity("d1", "u1", 1_772_000_000_000, "token"), identity("old", "u1", -1)])
    store.write_members([member("vip", "u1", 9, active=False)])
    store.claim([sent("u1")])
    store.record([sent("u1", state="handed_off")])
    store.write_metrics([MetricRow("flow/vip", NOW, 3)])
    store.write_run(RunRow(NOW, "abc"))
    store.swap_lease(None, lease("a"))
    store.publish_control([b"a"], NOW)
    with pytest.warns(RuntimeWarning, match="emulator"):
        client = BigtableDataClient(project=bigtable.project)
    stored = {
        (table, cell.family, cell.qualifier, cell.timestamp_micros)
        for table in ("users", "events", "identities", "members", "ledger", "metrics", "runs", "control")
        for row in client.get_table(bigtable.name, table).read_rows(ReadRowsQuery())
        for cell in row.cells
    }
    value = client.get_table(bigtable.name, "metrics").read_rows(ReadRowsQuery())[0].cells[0].value
    client.close()
    assert stored == {
        ("users", "r", b"row", 7_000),
        ("events", "r", b"row", 1_772_000_000_000_000),
        ("identities", "r", b"row", 1_772_000_000_000_000),
        ("identities", "r", b"row", 0),
        ("members", "r", b"row", 9_000),
        ("ledger", "r", b"row", 0),
        ("ledger", "r", b"claim", 0),
        ("metrics", "r", b"row", 0),
        ("runs", "r", b"row", 0),
        ("control", "r", b"row", 0),
    }
    assert value == b"\x83\xa6series\xa8flow/vip\xa6window\xcf\x00\x06\x4b\x9f\xe6\x8a\xc0\x00\xa5count\x03"


def test_missing_tables_are_named(bigtable: Any) -> None:
    with pytest.raises(StoreError, match=r"lacks the tables users, .*runs, control: .*`todoke run` makes them"):
        BigtableStore(bigtable.project, bigtable.name, create=False)
    BigtableStore(bigtable.project, bigtable.name, create=True).close()
    BigtableStore(bigtable.project, bigtable.name, create=False).close()


def test_workers_may_open_a_new_instance_together(flaky: Flaky, bigtable: Any) -> None:
    """Somebody else made the tables after this worker had looked for them."""
    flaky.plan("CreateTable", lose())
    store = BigtableStore(bigtable.project, bigtable.name, create=True)
    store.write_users([user("u1")])
    assert store.has_users()
    store.close()


def test_where_nothing_listens_opening_fails_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", host)
        for create in (True, False):
            with pytest.raises(StoreError, match=f"after 4 tries.*BIGTABLE_EMULATOR_HOST={host}"):
                BigtableStore("project-x", "instance-x", create=create)


def test_where_nobody_answers_opening_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreError, match="instance `projects/project-x/instances/instance-x` failed"):
            BigtableStore("project-x", "instance-x", create=True, timeout=0.5)


Operation = Callable[[Store], Any]
OPERATIONS: dict[str, tuple[str, Operation]] = {
    "write_users": (
        "1200 of 1200 rows.*`users`",
        lambda store: store.write_users([user(f"u{n}") for n in range(1200)]),
    ),
    "write_events": ("2 of 2 rows.*`events`", lambda store: store.write_events([event("u1"), event("u2")])),
    "write_members": ("1 of 1 rows.*`members`", lambda store: store.write_members([member("vip", "u1")])),
    "write_identities": ("1 of 1 rows.*`identities`", lambda store: store.write_identities([identity("a", "u1")])),
    "write_metrics": ("1 of 1 rows.*`metrics`", lambda store: store.write_metrics([MetricRow("a", 0, 1)])),
    "write_dead_letters": (
        "`dead_letters`",
        lambda store: store.write_dead_letters([letter(1, "u1")]),
    ),
    "mark_replayed": ("`dead_letters`", lambda store: store.mark_replayed([letter(1)], NOW)),
    "prune_dead_letters": ("`dead_letters`", lambda store: store.prune_dead_letters(NOW, 1, 1)),
    "write_run": ("1 of 1 rows.*`runs`", lambda store: store.write_run(RunRow(NOW, "abc"))),
    "record": ("1 of 1 rows.*`ledger`", lambda store: store.record([sent("u1")])),
    "resolve": ("`ledger`", lambda store: store.resolve([(sent("u1"), sent("u1", state="unknown"))])),
    "publish_control": ("2 of 2 rows.*`control`", lambda store: store.publish_control([b"a", b"b"], NOW)),
    "read_control": ("`control`", lambda store: store.read_control(5)),
    "read_control past others": ("`control`", lambda store: store.read_control(5, ["a"])),
    "delete_control": ("1 of 1 rows.*`control`", lambda store: store.delete_control(["a"])),
    "claim": ("`ledger`", lambda store: store.claim([sent("u1"), sent("u2", "s2")])),
    "read_users": ("`users`", lambda store: store.read_users(["u1"])),
    "has_users": ("`users`", lambda store: store.has_users()),
    "scan_users": ("`users`", lambda store: list(store.scan_users())),
    "read_events": ("`events`", lambda store: store.read_events("u1")),
    "scan_archive": ("`events`", lambda store: list(store.scan_archive("u1", "u2"))),
    "existing_events": ("`events`", lambda store: store.existing_events([EventKey("u1", NOW, "m1")])),
    "delete_unapplied": ("`events`", lambda store: store.delete_unapplied()),
    "read_identities": ("`identities`", lambda store: store.read_identities("token", ["d1"])),
    "scan_members": ("`members`", lambda store: list(store.scan_members("vip"))),
    "read_ledger": ("`ledger`", lambda store: store.read_ledger("u1")),
    "scan_ledger": ("`ledger`", lambda store: list(store.scan_ledger())),
    "scan_leased": ("`ledger`", lambda store: list(store.scan_leased())),
    "mailbox_claims_of": ("`ledger`", lambda store: list(store.mailbox_claims_of(["s1"]))),
    "add_metrics": ("`metrics`", lambda store: store.add_metrics([MetricRow("a", 0, 1)])),
    "scan_metrics": ("`metrics`", lambda store: list(store.scan_metrics(""))),
    "read_run": ("`runs`", lambda store: store.read_run()),
    "read_lease": ("`runs`", lambda store: store.read_lease()),
    "swap_lease": ("`runs`", lambda store: store.swap_lease(None, lease("a"))),
    "delete_user": ("`events`", lambda store: store.delete_user("u1", ["vip"], [("token", "d1")], row=True)),
}


@pytest.fixture(scope="module")
def stopped(bigtable_emulator: Emulator) -> Iterator[BigtableStore]:
    """A store whose emulator was stopped after it had been opened."""
    own = start_bigtable()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGTABLE_EMULATOR_HOST", own.host)
        store = BigtableStore("project-x", "instance-x", create=True, tries=3)
        store.write_users([user("u1")])
        own.stop()
        yield store
    store.close()


@pytest.mark.parametrize(("message", "operation"), OPERATIONS.values(), ids=OPERATIONS)
def test_when_the_server_is_gone_everything_fails(stopped: Store, message: str, operation: Operation) -> None:
    with pytest.raises(StoreError, match=f"{message} failed after 3 tries: 503"):
        operation(stopped)


@pytest.mark.parametrize(("message", "operation"), OPERATIONS.values(), ids=OPERATIONS)
def test_what_passes_is_tried_again(flaky: Flaky, store: BigtableStore, message: str, operation: Operation) -> None:
    for method in ("MutateRows", "ReadRows", "CheckAndMutateRow"):
        flaky.plan(method, refuse(UNAVAILABLE), refuse(grpc.StatusCode.DEADLINE_EXCEEDED), refuse(UNAVAILABLE))
    before = dict(flaky.calls)
    operation(store)
    assert max(called - before.get(method, 0) for method, called in flaky.calls.items()) >= 4


@pytest.mark.parametrize(("message", "operation"), OPERATIONS.values(), ids=OPERATIONS)
def test_a_refusal_is_not_tried_again(flaky: Flaky, store: BigtableStore, message: str, operation: Operation) -> None:
    for method in ("MutateRows", "ReadRows", "CheckAndMutateRow"):
        flaky.plan(method, *[refuse(grpc.StatusCode.PERMISSION_DENIED)] * 2)
    with pytest.raises(StoreError, match=f"{message} failed at once: 403"):
        operation(store)


def test_a_time_limit_bounds_the_tries(flaky: Flaky, bigtable: Any) -> None:
    store = BigtableStore(bigtable.project, bigtable.name, create=True, timeout=0.4, tries=1000)
    flaky.plan("MutateRows", *[refuse(UNAVAILABLE)] * 1000)
    with pytest.raises(StoreError, match="1 of 1 rows were not written"):
        store.write_users([user("u1")])
    assert flaky.calls["MutateRows"] < 10
    store.close()


def test_only_rows_that_failed_are_written_again(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("MutateRows", alter({1: 14, 3: 14}), alter({1: 14}))
    rows = [user(f"u{number}") for number in range(5)]
    store.write_users(rows)
    assert flaky.calls["MutateRows"] == 3
    assert store.read_users([row.user for row in rows]) == {row.user: row for row in rows}


def test_rows_that_are_refused_are_counted(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("MutateRows", alter({0: 14, 1: 3, 4: 3}))
    with pytest.raises(StoreError, match=r"3 of 5 rows were not written: Bigtable table `users` failed at once: 400"):
        store.write_users([user(f"u{number}") for number in range(5)])


def test_a_claim_whose_answer_was_lost_is_ours(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("CheckAndMutateRow", lose(), refuse(UNAVAILABLE), lose())
    assert store.claim([sent("u1")]) == {"s1": None}
    assert store.claim([sent("u1")]) == {"s1": sent("u1")}, "the same row, and not this call's claim"


def test_a_claim_that_fails_says_so_and_may_be_made_later(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("CheckAndMutateRow", *[refuse(UNAVAILABLE)] * 4)
    with pytest.raises(StoreError, match="after 4 tries"):
        store.claim([sent("u1")])
    assert store.claim([sent("u1")]) == {"s1": None}


def test_a_lease_whose_answer_was_lost_is_ours(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("CheckAndMutateRow", lose())
    assert store.swap_lease(None, lease("a"))
    flaky.plan("CheckAndMutateRow", lose())
    assert store.swap_lease(lease("a"), lease("b"))
    assert not store.swap_lease(lease("a"), lease("c"))


def test_a_resolution_whose_answer_was_lost_is_ours(flaky: Flaky, store: BigtableStore) -> None:
    lapsed = sent("u1", state="unknown")
    store.claim([sent("u1")])
    flaky.plan("CheckAndMutateRow", lose(), refuse(UNAVAILABLE), lose())
    assert store.resolve([(sent("u1"), lapsed)]) == [lapsed]
    assert store.resolve([(lapsed, sent("u1"))]) == [sent("u1")]


def test_a_record_between_reading_and_resolving_stands(flaky: Flaky, store: BigtableStore) -> None:
    store.claim([sent("u1")])

    def record(requests: Any, upstream: Any, context: Any) -> Any:
        store.record([sent("u1", state="handed_off")])
        return upstream(requests)

    flaky.plan("CheckAndMutateRow", record)
    assert store.resolve([(sent("u1"), sent("u1", state="unknown"))]) == []
    assert store.read_ledger("u1") == [sent("u1", state="handed_off")]


def test_a_claim_that_an_older_version_wrote_in_other_bytes_is_resolved(store: BigtableStore, bigtable: Any) -> None:
    """It lacked a field that has a default now, and had them in another order."""
    fields = msgspec.structs.asdict(sent("u1"))
    stored = msgspec.msgpack.encode({name: fields[name] for name in reversed(fields) if name != "detail"})
    with pytest.warns(RuntimeWarning, match="emulator"):
        client = BigtableDataClient(project=bigtable.project)
    client.get_table(bigtable.name, "ledger").mutate_row(keys.ledger_key("u1", "s1"), SetCell("r", b"row", stored, 0))
    client.close()
    [standing] = store.read_ledger("u1")
    assert store.resolve([(standing, sent("u1", state="unknown"))]) == [sent("u1", state="unknown")]
    assert store.read_ledger("u1") == [sent("u1", state="unknown")]


def test_a_lost_answer_to_a_write_changes_nothing(flaky: Flaky, store: BigtableStore) -> None:
    flaky.plan("MutateRows", lose(), lose())
    store.record([sent("u1", state="handed_off")])
    flaky.plan("MutateRows", lose())
    store.write_users([user("u1")])
    assert store.read_ledger("u1") == [sent("u1", state="handed_off")]
    assert store.read_users(["u1"]) == {"u1": user("u1")}


def test_a_registration_made_while_its_owner_is_deleted_stands(flaky: Flaky, store: BigtableStore) -> None:
    """Between reading whose a token is and deleting it, somebody else registers it."""
    store.write_identities([identity("d1", "u1", 5, "token")])

    def register(requests: Any, upstream: Any, context: Any) -> Any:
        store.write_identities([identity("d1", "u2", 6, "token")])
        return upstream(requests)

    flaky.plan("MutateRows", register)
    store.delete_user("u1", [], [("token", "d1")])
    assert store.read_identities("token", ["d1"]) == {"d1": identity("d1", "u2", 6, "token")}


def test_a_deletion_names_each_row_once_in_a_request(flaky: Flaky, store: BigtableStore) -> None:
    asked: list[list[bytes]] = []

    def watch(requests: Iterable[bytes], real: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        asked.extend([entry.row_key for entry in MutateRowsRequest.deserialize(each).entries] for each in said)
        yield from real(iter(said))

    taken = [msgspec.structs.replace(identity(name, "u2", 2, "token"), previous="u1") for name in ("t1", "t2")]
    store.write_identities([identity("t1", "u1", 1, "token"), identity("t2", "u1", 1, "token")])
    store.write_identities(taken)
    flaky.always("MutateRows", watch)
    store.delete_user("u1", [], [("token", "t1")])
    flaky.always("MutateRows", None)
    assert asked
    assert all(len({*rows}) == len(rows) for rows in asked)
    kept = {row.value: msgspec.structs.replace(row, previous="") for row in taken}
    assert store.read_identities("token", ["t1", "t2"]) == kept
