"""What every store promises of the control table: a queue that loses nothing and is read oldest first."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import HOSTILE, NOW
from strength import examples

from transforms.storage.open import open_store
from transforms.storage.store import Store

ROOT = Path(__file__).parent.parent.parent
MANY = 10_000

#: Publishes `NAME 0`, `NAME 1`, … one by one and says each when it is published: URL, NAME, how many.
PUBLISHER = """
import sys
from transforms.storage.open import open_store

url, name, count = sys.argv[1:]
store = open_store(url)
for number in range(int(count)):
    store.publish_control([f"{name} {number}".encode()], 1_772_000_000_000_000)
    print(number, flush=True)
"""


def payloads(store: Store, limit: int = MANY) -> list[bytes]:
    return [row.payload for row in store.read_control(limit)]


def clear(store: Store) -> None:
    store.delete_control([row.id for row in store.read_control(MANY)])


def publisher(url: str, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUBLISHER, url, name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_empty_table(store: Store) -> None:
    assert store.read_control(10) == []
    assert store.read_control(10, ["no such id"]) == []
    store.publish_control([], NOW)
    store.delete_control([])
    store.delete_control(["no such id", *HOSTILE])
    assert store.read_control(10) == []


def test_messages_come_oldest_first_and_then_in_the_order_of_publishing(store: Store) -> None:
    store.publish_control([b"5", b"6"], NOW)
    store.publish_control([b"3"], NOW - 1)
    store.publish_control([b"7"], NOW)
    store.publish_control([b"8"], NOW + 1)
    store.publish_control([b"1"], -NOW)
    store.publish_control([b"2"], 0)
    store.publish_control([b"4"], NOW - 1)
    rows = store.read_control(10)
    assert [row.payload for row in rows] == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"]
    assert [row.published for row in rows] == [-NOW, 0, NOW - 1, NOW - 1, NOW, NOW, NOW, NOW + 1]
    assert sorted(rows, key=lambda row: row.id) == rows
    for limit in range(9):
        assert store.read_control(limit) == rows[:limit]


def test_payloads_may_hold_any_bytes(store: Store) -> None:
    hostile = [b"", b"\0", bytes(range(256)), b"\xff" * 100_000, *(text.encode() for text in HOSTILE)]
    store.publish_control(hostile, NOW)
    assert payloads(store) == hostile


def test_the_same_message_twice_is_two(store: Store) -> None:
    store.publish_control([b"a", b"a"], NOW)
    store.publish_control([b"a"], NOW)
    first, *others = store.read_control(10)
    store.delete_control([first.id])
    assert store.read_control(10) == others
    assert len(others) == 2


def test_what_is_skipped_does_not_count(store: Store) -> None:
    store.publish_control([b"%d" % number for number in range(10)], NOW)
    rows = store.read_control(10)
    assert store.read_control(3, [row.id for row in rows[:4]]) == rows[4:7]
    assert store.read_control(3, {rows[0].id, rows[2].id, rows[4].id, "no such id"}) == [rows[1], rows[3], rows[5]]
    assert store.read_control(3, [row.id for row in rows[5:]]) == rows[:3]
    assert store.read_control(3, [row.id for row in rows]) == []
    assert store.read_control(0, [rows[0].id]) == []


def test_deleting_may_be_repeated(store: Store) -> None:
    store.publish_control([b"a", b"b", b"c"], NOW)
    first, second, third = store.read_control(10)
    for _ in range(2):
        store.delete_control([third.id, first.id, third.id])
        assert store.read_control(10) == [second]
    store.publish_control([b"d"], NOW - 1)
    assert payloads(store) == [b"d", b"b"]


def test_what_was_published_outlives_the_connection(url: str) -> None:
    store = open_store(url)
    store.publish_control([b"a"], NOW)
    store.close()
    again = open_store(url, create=False)
    again.publish_control([b"b"], NOW)
    assert payloads(again) == [b"a", b"b"]
    again.close()


def test_ten_thousand_messages_by_a_reader_that_acknowledges_late(store: Store) -> None:
    """As a live source reads: what it handed on is skipped until it has been accounted for."""
    sent = [b"%d" % number for number in range(MANY)]
    store.publish_control(sent, NOW)
    flying: list[str] = []
    got: list[bytes] = []
    while rows := store.read_control(1_000, flying):
        assert len(rows) <= 1_000
        got += [row.payload for row in rows]
        flying += [row.id for row in rows]
        if len(flying) > 3_000:
            store.delete_control(flying[:2_000])
            del flying[:2_000]
    assert got == sent
    store.delete_control(flying)
    assert store.read_control(1) == []


def test_threads_publish_while_another_reads_and_deletes(store: Store) -> None:
    done = Event()

    def publish(number: int) -> list[bytes]:
        sent = [f"{number} {each}".encode() for each in range(120)]
        for start in range(0, len(sent), 3):
            store.publish_control(sent[start : start + 3], NOW + start % 5)
        return sent

    def consume() -> list[bytes]:
        got: list[bytes] = []
        while True:
            last_round = done.is_set()
            rows = store.read_control(50)
            store.delete_control([row.id for row in rows])
            got += [row.payload for row in rows]
            if last_round and not rows:
                return got

    with ThreadPoolExecutor(7) as pool:
        consumer = pool.submit(consume)
        sent = [payload for made in pool.map(publish, range(6)) for payload in made]
        done.set()
        assert sorted(consumer.result()) == sorted(sent)
    assert store.read_control(1) == []


def test_processes_publish_to_one_table(store: Store, url: str) -> None:
    started = [publisher(url, name, 100) for name in ("a", "b")]
    assert [process.communicate(timeout=120) and process.returncode for process in started] == [0, 0]
    got = payloads(store)
    for name in ("a", "b"):
        theirs = [payload for payload in got if payload.startswith(name.encode())]
        assert theirs == [f"{name} {number}".encode() for number in range(100)], "each publisher's in its order"
    assert len(got) == 200


def test_what_was_published_survives_sigkill(store: Store, url: str) -> None:
    process = publisher(url, "a", 1_000_000)
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(50)]
        process.kill()
        said += process.stdout.readlines()
    published = int(said[-1])
    assert published >= 49
    numbers = [int(payload.split()[1]) for payload in payloads(store, 1_000_000)]
    assert numbers in (list(range(published + 1)), list(range(published + 2))), "at most one of which it did not say so"


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.lists(st.binary(max_size=3), max_size=4), st.integers(-2, 2)),
        st.tuples(st.just("read"), st.integers(0, 4), st.lists(st.integers(0, 9), max_size=4)),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 9), max_size=4), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_any_calls_leave_what_was_promised(store: Store, calls: list[tuple[Any, ...]]) -> None:
    """Against a list that is sorted by time and keeps the order otherwise."""
    clear(store)
    model: list[tuple[int, bytes]] = []
    for call, first, second in calls:
        rows = store.read_control(100)
        assert [(row.published, row.payload) for row in rows] == model
        ids = [row.id for row in rows]
        if call == "publish":
            store.publish_control(first, second)
            model = sorted([*model, *((second, payload) for payload in first)], key=lambda each: each[0])
        elif call == "read":
            skip = [ids[place] for place in second if place < len(ids)]
            left = [row for row in rows if row.id not in skip]
            assert store.read_control(first, skip) == left[:first]
            for since in (-1, 1):
                assert store.read_control(first, skip, since) == [row for row in left if row.published >= since][:first]
        else:
            store.delete_control([ids[place] for place in first if place < len(ids)])
            model = [kept for place, kept in enumerate(model) if place not in first]
    clear(store)
