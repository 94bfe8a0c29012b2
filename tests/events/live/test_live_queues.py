"""A live job on Prism over an embedded queue is killed: nothing is lost, and what was accounted for stays so."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from live_cases import ROOT, Jobs, wait_for

from transforms.events.queue.append import Queue
from transforms.events.queue.mark import read_mark
from transforms.events.queue.read import QueueReader
from transforms.storage.sqlite.store import SqliteStore

#: Appends calls of three until it is killed, and prints what was answered.
WRITER = """
import sys
from transforms.events.queue.append import Queue
queue = Queue(sys.argv[1])
for number in range(100_000):
    payloads = [f"{sys.argv[2]}-{number}-{part}" for part in range(3)]
    queue.append([payload.encode() for payload in payloads])
    print(*payloads, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Queue(tmp_path / "events.db").close()
    return tmp_path / "events.db"


@pytest.fixture
def jobs(path: Path, prism: str, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(prism, f"queue:{path}", tmp_path)
    jobs.command += ["--store", f"sqlite:{tmp_path / 'store.db'}"]
    yield jobs
    jobs.close()


def answered(writer: subprocess.Popen[str]) -> set[str]:
    out, _ = writer.communicate()
    return {payload for line in out.splitlines(keepends=True) if line.endswith("\n") for payload in line.split()}


@pytest.mark.all_in_ci
def test_kills_of_either_side_lose_nothing_that_was_answered(path: Path, jobs: Jobs) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    promised: set[str] = set()
    for round_ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), f"{round_}{name}"],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for name in "ab"
        ]
        before = set(jobs.seen())
        job = jobs.start()
        wait_for(lambda before=before: set(jobs.seen()) - before)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            promised |= answered(writer)
        jobs.kill(job)
    jobs.start()
    with closing(QueueReader(path)) as reader:
        whole = [message.payload.decode() for page in reader.pages() for message in page]
    assert promised <= set(whole)
    assert len(whole) == len(set(whole))
    wait_for(lambda: set(jobs.seen()) == set(whole))
    assert set(Counter(payload.rpartition("-")[0] for payload in whole).values()) == {3}  # calls are there whole


@pytest.mark.all_in_ci
def test_what_was_not_accounted_for_comes_again_and_the_rest_does_not(path: Path, jobs: Jobs, tmp_path: Path) -> None:
    with Queue(path) as queue:
        queue.append([f"m{number}".encode() for number in range(1, 201)])
        job = jobs.start("--hold", "m7")
        wait_for(lambda: len(set(jobs.seen())) == 200)
        queue.append([b"later"])
        wait_for(lambda: "later" in jobs.seen())
        with closing(SqliteStore(tmp_path / "store.db")) as store:
            wait_for(lambda: store.read_acknowledged(queue.id).ranges() == [(1, 6), (8, 201)])
        job.terminate()
        assert job.wait(60) == 0
        mark = read_mark(path)
        assert mark is not None
        assert mark.ranges == ((1, 6), (8, 201))
        jobs.start()
        wait_for(lambda: len(jobs.seen()) == 202)
        queue.append([b"last"])
        wait_for(lambda: "last" in jobs.seen())
    assert Counter(jobs.seen())["m7"] == 2
    assert len(jobs.seen()) == 203
