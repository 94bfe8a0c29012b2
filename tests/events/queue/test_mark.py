"""What a job says beside its queue, and that there is one job; what is deleted by it, and what never is."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.queue import append as appending
from transforms.events.queue import mark as module
from transforms.events.queue.append import Queue
from transforms.events.queue.file import NoQueue
from transforms.events.queue.mark import QueueHeld, hold_queue, mark_path, read_mark, write_mark
from transforms.events.queue.read import QueueReader
from transforms.storage.acknowledged import Ids

ROOT = Path(__file__).parents[3]
NOW = 1_770_000_000_000_000
DAY = 86_400_000_000

HOLDER = """
import sys, time
from pathlib import Path
from transforms.events.queue.mark import hold_queue, write_mark
from transforms.storage.acknowledged import Ids
with hold_queue(Path(sys.argv[1])):
    write_mark(Path(sys.argv[1]), "q", Ids())
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def ids_in(path: Path) -> list[int]:
    with closing(QueueReader(path)) as reader:
        return [message.id for page in reader.pages() for message in page]


def test_one_job_at_a_time_and_a_killed_one_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DYING_SECONDS", 0.2)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(QueueHeld, match=rf"another job \(process {holder.pid}\) reads the queue"), hold_queue(path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with hold_queue(path), pytest.raises(QueueHeld), hold_queue(path):
        pass
    with hold_queue(path):
        pass


def test_a_folder_that_nobody_may_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoQueue, match="Not a directory"), hold_queue(tmp_path / "file" / "events.db"):
        pass


RANGES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)).map(lambda each: (each[0], sum(each))), max_size=8)


@given(st.lists(RANGES, min_size=1, max_size=4))
def test_a_mark_is_read_as_it_was_written_last(tmp_path_factory, written) -> None:
    path = tmp_path_factory.mktemp("mark") / "events.db"
    assert read_mark(path) is None
    for ranges in written:
        write_mark(path, "q", Ids(ranges))
    mark = read_mark(path)
    assert mark is not None
    assert (mark.queue, mark.process) == ("q", os.getpid())
    assert mark.acknowledged.ranges() == Ids(written[-1]).ranges()


@given(st.data())
def test_a_torn_mark_is_none(tmp_path_factory, data) -> None:
    """Each of two marks has some of its bytes on the disk: what is read is one of them, or nothing."""
    path = tmp_path_factory.mktemp("mark") / "events.db"
    whole = []
    for count in (99_999, 100_000):
        write_mark(path, "q", Ids([(1, count)]))
        whole.append(mark_path(path).read_bytes())
    longest = max(map(len, whole))
    choice = data.draw(st.lists(st.booleans(), min_size=longest, max_size=longest))
    padded = [each.ljust(longest, b"\0") for each in whole]
    mixed = bytes(padded[second][place] for place, second in enumerate(choice))
    mark_path(path).write_bytes(mixed)
    mark = read_mark(path)
    assert mark is None or mark.ranges in (((1, 99_999),), ((1, 100_000),))


def test_more_ranges_than_are_noted_keep_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RANGES", 2)
    write_mark(path, "q", Ids([(1, 3), (5, 5), (7, 9)]))
    mark = read_mark(path)
    assert mark is not None
    assert mark.ranges == ((1, 3), (5, 5))


def pruned(path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is left once the queue has looked for old messages twice more."""
    monkeypatch.setattr(appending, "PRUNE_SECONDS", 0.01)
    for _ in range(2):
        looked = queue._pruned
        until = time.monotonic() + 30
        while queue._pruned == looked:
            assert time.monotonic() < until
            time.sleep(0.01)
    return ids_in(path)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12)), min_size=1, max_size=8),
    RANGES,
    st.sampled_from(["this", "other"]),
)
def test_nothing_goes_that_is_young_or_not_acknowledged(tmp_path_factory, calls, ranges, whose) -> None:
    path = tmp_path_factory.mktemp("queue") / "events.db"
    clock = [NOW]
    arrived: dict[int, int] = {}
    with Queue(path, clock=lambda: clock[0]) as queue:
        for count, days in calls:
            clock[0] += days * DAY
            arrived |= dict.fromkeys(queue.append([b"x"] * count), clock[0])
        id_ = queue.id
    done = Ids(ranges)
    write_mark(path, id_ if whose == "this" else "other", done)
    with pytest.MonkeyPatch.context() as patched, Queue(path, retain=7 * DAY, clock=lambda: clock[0]) as queue:
        left = pruned(path, queue, patched)
    gone = set(arrived) - set(left)
    assert left == list(range(len(gone) + 1, len(arrived) + 1))
    assert all(id_ < done.before and arrived[id_] < clock[0] - 7 * DAY + 1_000 for id_ in gone)
    assert whose == "this" or not gone
    # Calls are kept or deleted as they were appended, and the newest stays.
    end = 0
    for count, _ in calls[:-1]:
        end += count
        if whose == "this" and end < done.before and arrived[end] + 1_000 < clock[0] - 7 * DAY:
            assert end in gone


def test_ids_go_on_when_all_that_can_go_has_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [NOW]
    with Queue(path, retain=DAY, clock=lambda: clock[0]) as queue:
        for _ in range(3):
            queue.append([b"x"] * 10)
        write_mark(path, queue.id, Ids([(1, 30)]))
        clock[0] += 2 * DAY
        assert pruned(path, queue, monkeypatch) == list(range(21, 31))
        assert [*queue.append([b"x"])] == [31]
        with closing(QueueReader(path)) as reader:
            assert reader.span()[1] == 32


def test_without_a_mark_or_a_retention_everything_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [NOW]
    with Queue(path, retain=DAY, clock=lambda: clock[0]) as queue:
        queue.append([b"x"])
        queue.append([b"x"])
        clock[0] += 2 * DAY
        assert pruned(path, queue, monkeypatch) == [1, 2]
        write_mark(path, queue.id, Ids([(1, 2)]))
    with Queue(path, clock=lambda: clock[0]) as queue:
        queue.append([b"x"])
    assert ids_in(path) == [1, 2, 3]


def test_space_is_used_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [NOW]
    sizes = []
    with Queue(path, retain=DAY, clock=lambda: clock[0]) as queue:
        for _ in range(4):
            for _ in range(20):
                [*_, last] = queue.append([b"x" * 1_000] * 50)
            write_mark(path, queue.id, Ids([(1, last)]))
            clock[0] += 2 * DAY
            pruned(path, queue, monkeypatch)
            sizes.append(path.stat().st_size)
    assert sizes[-1] <= 1.5 * sizes[1]
