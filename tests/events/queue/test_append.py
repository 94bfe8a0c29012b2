"""Appending to a queue: whole or not at all, in one order whoever appends, and on the disk when it returns."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.queue import append as module
from transforms.events.queue.append import MESSAGE_BYTES, MessageTooLarge, NotTaken, Queue
from transforms.events.queue.read import Queued, QueueReader

ROOT = Path(__file__).parents[3]
NOW = 1_770_000_000_000_000

#: Appends messages that say whose they are, prints each once it is answered, and goes on until it is killed.
WRITER = """
import sys
from transforms.events.queue.append import Queue
queue = Queue(sys.argv[1])
for number in range(int(sys.argv[3])):
    [id_] = queue.append([f"{sys.argv[2]} {number}".encode()])
    print(id_, sys.argv[2], number, flush=True)
"""


def everything(path: Path) -> list[Queued]:
    with closing(QueueReader(path)) as reader:
        return [message for page in reader.pages() for message in page]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def queue(path: Path) -> Iterator[Queue]:
    with Queue(path) as queue:
        yield queue


def test_messages_come_back_as_they_were_with_the_ids_that_were_answered(queue: Queue, path: Path) -> None:
    said = [b'{"a": 1}', b"", b"\xff\0\n", "日本".encode(), b"x" * MESSAGE_BYTES]
    ids = [*queue.append(said[:3]), *queue.append(said[3:])]
    found = everything(path)
    assert [message.payload for message in found] == said
    assert [message.id for message in found] == ids == [1, 2, 3, 4, 5]


def test_nothing_appended_is_nothing(queue: Queue, path: Path) -> None:
    assert list(queue.append([])) == []
    assert everything(path) == []


def test_ids_and_arrivals_go_on_after_a_new_start(path: Path) -> None:
    for round_ in range(3):
        with Queue(path) as queue:
            assert [*queue.append([b"a", b"b"])] == [2 * round_ + 1, 2 * round_ + 2]
    arrivals = [message.arrived for message in everything(path)]
    assert arrivals == sorted(set(arrivals))


@given(st.lists(st.tuples(st.integers(-5_000_000, 5_000_000), st.integers(1, 4)), min_size=1, max_size=8))
def test_a_clock_that_is_set_back_or_stands_changes_no_order(tmp_path_factory, steps) -> None:
    path = tmp_path_factory.mktemp("queue") / "events.db"
    clock = [NOW]
    with Queue(path, clock=lambda: clock[0]) as queue:
        for passed, messages in steps:
            clock[0] += passed
            queue.append([b"x"] * messages)
    arrivals = [message.arrived for message in everything(path)]
    assert arrivals == sorted(set(arrivals))
    newest = NOW
    at = NOW
    for (passed, messages), first in zip(steps, _firsts(steps, arrivals), strict=True):
        at += passed
        assert first >= at  # never before the clock, and after it only where the clock was ahead before
        newest = max(newest, at)
        assert first <= newest + sum(messages for _, messages in steps)


def _firsts(steps, arrivals: list[int]) -> Iterator[int]:
    place = 0
    for _, messages in steps:
        yield arrivals[place]
        place += messages


def test_threads_share_commits_and_each_keeps_its_order(queue: Queue, path: Path) -> None:
    def work(thread: int) -> list[int]:
        return [id_ for number in range(40) for id_ in queue.append([f"{thread} {number}".encode()] * 2)]

    with ThreadPoolExecutor(8) as pool:
        answered = [*pool.map(work, range(8))]
    found = {message.id: message.payload.decode() for message in everything(path)}
    assert sorted(found) == sorted(id_ for ids in answered for id_ in ids) == list(range(1, 641))
    for thread, ids in enumerate(answered):
        assert [found[id_] for id_ in ids] == [f"{thread} {number}" for number in range(40) for _ in "ab"]
        assert ids == sorted(ids)
    with sqlite3.connect(path) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM batches WHERE first > 0")
    assert rows < 320  # calls


def test_processes_take_turns_and_a_kill_loses_nothing_that_was_answered(path: Path) -> None:
    Queue(path).close()
    command = [sys.executable, "-c", WRITER, str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([*command, name, "100000"], stdout=subprocess.PIPE, text=True, env=environment)
        for name in ("one", "two", "three")
    ]
    answered: dict[int, str] = {}
    for writer in writers:
        assert writer.stdout is not None
        for _ in range(20):
            id_, _, said = writer.stdout.readline().rstrip("\n").partition(" ")
            answered[int(id_)] = said
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        out, _ = writer.communicate()
        for line in out.splitlines(keepends=True):
            if line.endswith("\n"):
                id_, _, said = line.rstrip("\n").partition(" ")
                answered[int(id_)] = said
    found = {message.id: message.payload.decode() for message in everything(path)}
    assert answered.items() <= found.items()
    assert sorted(found) == list(range(1, len(found) + 1))
    assert len(found) <= len(answered) + 3  # what was committed and not answered yet
    for name in ("one", "two", "three"):
        numbers = [int(said.split()[1]) for _, said in sorted(found.items()) if said.startswith(f"{name} ")]
        assert numbers == list(range(len(numbers)))


def test_what_is_too_large_is_refused_and_the_rest_of_the_call_with_it(
    queue: Queue, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MessageTooLarge, match="10,000,001 bytes"):
        queue.append([b"good", b"x" * (MESSAGE_BYTES + 1)])
    monkeypatch.setattr(module, "CALL_BYTES", 1_000)
    with pytest.raises(MessageTooLarge, match="11 messages in one call"):
        queue.append([b"x"] * 11)
    queue.append([b"after"])
    assert [message.payload for message in everything(path)] == [b"after"]


def test_a_call_that_is_larger_than_a_commit_is_one(queue: Queue, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_BYTES", 1_000)
    answers = [queue.submit([bytes([number]) * 600] * 3) for number in range(5)]
    assert [[*answer.result(30)] for answer in answers] == [[3 * n + 1, 3 * n + 2, 3 * n + 3] for n in range(5)]
    assert [message.payload[0] for message in everything(path)] == [n for n in range(5) for _ in "abc"]


def test_more_than_may_wait_is_refused_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 2_000)
    with Queue(path, busy_seconds=30) as queue, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [queue.submit([b"x" * 400]) for _ in range(4)]
        with pytest.raises(NotTaken, match="is behind"):
            queue.submit([b"x" * 400])
        other.execute("ROLLBACK")
        assert [[*answer.result(30)] for answer in waiting] == [[1], [2], [3], [4]]
        assert [*queue.append([b"x" * 400])] == [5]


def test_a_queue_that_stays_busy_takes_nothing_and_says_so(path: Path) -> None:
    with Queue(path, busy_seconds=0.1) as queue:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(NotTaken, match="did not take 1 message: database is locked"):
                queue.append([b"a"])
        assert [*queue.append([b"b"])] == [1]
    assert [message.payload for message in everything(path)] == [b"b"]


def test_what_is_not_taken_for_a_while_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Queue(path, busy_seconds=0.05) as queue:
        for _ in range(2):
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                for _ in range(3):
                    with pytest.raises(NotTaken):
                        queue.append([b"a"])
            queue.append([b"b"])
            queue.append([b"c"])
    told = [record.getMessage() for record in caplog.records]
    refused = f"the queue {path} did not take 1 message: database is locked"
    assert told == [refused, f"the queue {path} takes messages again"] * 2


def test_a_full_disk_takes_nothing_half_and_the_next_goes_on_when_there_is_room(path: Path) -> None:
    """SQLite's own limit of pages fails as a full disk does: with SQLITE_FULL, in the midst of a row."""
    with Queue(path) as queue:
        queue.append([b"before"])
        [(pages,)] = queue._connection.execute("PRAGMA page_count").fetchall()
        queue._connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        with pytest.raises(NotTaken, match="database or disk is full"):
            queue.append([b"x" * 100_000, b"y"])
        queue.append([b"small"])
        queue._connection.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert [*queue.append([b"x" * 100_000])] == [3]
    assert [message.payload[:6] for message in everything(path)] == [b"before", b"small", b"xxxxxx"]


def test_closing_writes_what_waits_and_then_takes_nothing(path: Path) -> None:
    queue = Queue(path)
    answers = [queue.submit([b"x"]) for _ in range(100)]
    queue.close()
    queue.close()
    assert [id_ for answer in answers for id_ in answer.result(0)] == list(range(1, 101))
    with pytest.raises(NotTaken, match="is closed"):
        queue.append([b"x"])


def test_what_waits_cannot_be_taken_back(queue: Queue, path: Path) -> None:
    answer = queue.submit([b"x"])
    assert not answer.cancel()
    assert [*answer.result(30)] == [1]


def test_many_may_make_one_queue_at_once(path: Path) -> None:
    together = threading.Barrier(8)

    def make(_: int) -> str:
        together.wait(30)
        with Queue(path) as queue:
            queue.append([b"x"])
            return queue.id

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(make, range(8))}) == 1
    assert [message.id for message in everything(path)] == list(range(1, 9))


def test_an_append_does_not_wait_for_who_reads(queue: Queue, path: Path) -> None:
    queue.append([b"a"])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM batches").fetchall() == [(2,)]
        began = time.monotonic()
        queue.append([b"b"])
        assert time.monotonic() - began < module.BUSY_SECONDS / 2
        assert other.execute("SELECT count(*) FROM batches").fetchall() == [(2,)]
