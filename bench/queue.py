"""Messages a second through an embedded queue: appended durably by threads and processes, and read.

    python -m bench.queue [--seconds N]

An append has ended when its commit is on the disk. Beside it, with the same messages and in the same run: a file to
which each call is added with a sync of its own (what the disk gives without a group), and SQLite with a row a message
and a commit a call. Messages are calls of 500 bytes.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from transforms.events.live.inflight import InFlight
from transforms.events.live.queued import QueueFeed, QueuePlace, reading_queue
from transforms.events.queue.append import Queue
from transforms.events.queue.read import QueueReader
from transforms.storage.sqlite.store import SqliteStore

#: (processes, threads in each, messages a call).
APPENDS = ((1, 1, 1), (1, 16, 1), (2, 16, 1), (4, 16, 1), (1, 1, 50), (1, 16, 50), (2, 16, 50), (4, 16, 50))
READ = 200_000
#: Messages that the job takes from the feed and acknowledges together.
TAKEN = 1_000

Append = Callable[[list[bytes]], object]


def message(number: int) -> bytes:
    """A call of 500 bytes."""
    call = {"type": "track", "event": "Product Viewed", "userId": f"u{number % 5_000:05}", "messageId": f"m{number:09}"}
    bare = json.dumps(call | {"properties": {"note": ""}})
    return json.dumps(call | {"properties": {"note": "x" * (500 - len(bare))}}).encode()


def work(append: Append, threads: int, at_once: int, until: float) -> list[float]:
    """Append by threads until a time; returns how long each call took, in seconds."""
    took: list[list[float]] = [[] for _ in range(threads)]

    def appending(thread: int) -> None:
        messages = [message(number) for number in range(at_once)]
        while (began := time.time()) < until:
            append(messages)
            took[thread].append(time.time() - began)

    workers = [threading.Thread(target=appending, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [each for found in took for each in found]


def opened(kind: str, path: Path) -> Append:
    """What appends, by the kind of place."""
    if kind == "queue":
        return Queue(path, busy_seconds=60).append
    lock = threading.Lock()
    if kind == "file":
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def add(messages: list[bytes]) -> None:
            with lock:
                os.write(file, b"".join(messages))
                os.fdatasync(file)

        return add
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB)")

    def insert(messages: list[bytes]) -> None:
        with lock:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO messages (payload) VALUES (?)", [(each,) for each in messages])
            connection.execute("COMMIT")

    return insert


def append_by_processes(kind: str, processes: int, threads: int, at_once: int, seconds: float) -> tuple[float, str]:
    """Calls a second of all processes, and how long one takes."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "events"
        if kind != "file":
            opened(kind, path)
        start = time.time() + 1.5
        command = [sys.executable, "-m", "bench.queue", "--worker", kind, str(path)]
        command += [str(threads), str(at_once), str(start), str(start + seconds)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
        took = sorted(each for worker in workers for each in json.loads(worker.communicate()[0]))
    median, late = statistics.median(took), took[int(0.99 * len(took))]
    return len(took) / seconds, f"{1000 * median:.1f} / {1000 * late:.1f}"


def worker(arguments: list[str]) -> None:
    """One process that appends."""
    kind, path, threads, at_once, start, until = arguments
    append = opened(kind, Path(path))
    time.sleep(max(0.0, float(start) - time.time()))
    print(json.dumps(work(append, int(threads), int(at_once), float(until))))


def read(count: int) -> dict[str, float]:
    """Messages a second that are read, and that a job takes and acknowledges, in a transaction for each thousand."""
    speeds = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "events.db"
        with Queue(path) as queue:
            for start in range(0, count, 50):
                queue.submit([message(number) for number in range(start, start + 50)])
        with closing(QueueReader(path)) as reader:
            began = time.perf_counter()
            assert sum(map(len, reader.pages())) == count
            speeds["read"] = count / (time.perf_counter() - began)
        place = QueuePlace(path, f"sqlite:{Path(folder) / 'store.db'}")
        began = time.perf_counter()
        with reading_queue(place):
            _take(place, count)
        speeds["taken and acknowledged by a job"] = count / (time.perf_counter() - began)
    return speeds


def _take(place: QueuePlace, count: int) -> None:
    registry = InFlight()
    feed = QueueFeed(place, registry)
    with closing(SqliteStore(place.store.removeprefix("sqlite:"))) as store:
        for _ in range(count // TAKEN):
            arrived = [each for _ in range(TAKEN) if (each := feed.next()) is not None]
            handles = [each.handle for each in arrived]
            with store.transaction():
                store.publish_control([b"effects"], 0)
                registry.write_last(store, handles)
            registry.settle(handles)
    feed.close()


def main() -> None:
    """Run and print all."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
        return
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seconds", type=float, default=5.0, help="of each figure")
    given = flags.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{'':32} {'calls/s':>9} {'messages/s':>11} {'ms median / p99':>18}")
    for kind, shapes in (("queue", APPENDS), ("file", ((1, 1, 1), (1, 1, 50))), ("rows", ((1, 1, 1), (1, 16, 50)))):
        for processes, threads, at_once in shapes:
            calls, took = append_by_processes(kind, processes, threads, at_once, given.seconds)
            name = f"{kind}: {processes} x {threads} threads, {at_once} a call"
            print(f"{name:32} {calls:>9,.0f} {calls * at_once:>11,.0f} {took:>18}", flush=True)
    for name, speed in read(READ).items():
        print(f"{name:44} {speed:>9,.0f} messages/s")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
