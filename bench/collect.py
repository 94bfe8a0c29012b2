"""What the log reception API takes: HTTP requests whose calls are durable in an embedded queue when they are answered.

    python -m bench.collect [--seconds N] [--calls 50|1] [--memory-seconds N]

A load from another process, over loopback, with granian and one worker, and two at the end. In turn: batches of 50
calls and single calls, to the queue and to a sink that drops everything (the same server without storing), then half of
what the queue took, for its latency. All in one run, since speed depends on the day. With `--memory-seconds`: the
memory of the worker under half of the load of batches, at the start and each minute.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from starlette.types import ASGIApp

from bench.collect_load import KEY
from services.collect.app import Collect
from services.collect.keys import Keys, keys_of_text
from services.collect.letters import StoreLetters
from services.server import parse_listen, serve
from services.sink import KeyedPayload
from transforms.storage.store import StoreError

#: (calls in a request, connections): many browsers and apps, or some servers.
SHAPES = ((50, 32), (1, 64))
ROUNDS = 3


class NoSink:
    """Drops everything."""

    async def publish(self, messages: Sequence[KeyedPayload]) -> None:
        """See `Sink`."""

    async def check(self) -> None:
        """See `Sink`."""

    def close(self) -> None:
        """See `Sink`."""


def no_store() -> None:
    raise StoreError("there is none")


def without_storing() -> ASGIApp:
    return Collect(Keys(keys_of_text(f"bench={KEY}")), NoSink(), StoreLetters(no_store, lambda: 0)).app


@contextmanager
def serving(kind: str, folder: Path, workers: int) -> Iterator[tuple[int, int]]:
    """A service; gives its port and its process."""
    command = [sys.executable, "-m", "bench.collect", "--without-storing"]
    if kind == "queue":
        command = [sys.executable, "-m", "services.collect", "--sink", f"queue:{folder / 'events.db'}"]
        command += ["--store", f"sqlite:{folder / 'store.db'}", "--workers", str(workers), "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "TODOKE_WRITE_KEYS": f"bench={KEY}"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1].rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait()


def load(port: int, connections: int, calls: int, seconds: float, rate: float = 0) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.collect_load", str(port), str(connections), str(calls), str(seconds)]
    found = json.loads(subprocess.run([*command, str(rate)], capture_output=True, check=True).stdout)
    assert set(found["statuses"]) == {"200"}, found
    return found


def megabytes(process: int) -> list[int]:
    """The resident memory of a process's workers."""
    workers = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * 4096 // 1_000_000 for worker in workers]


def measured(kind: str, workers: int, calls: int, connections: int, seconds: float) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving(kind, Path(folder), workers) as (port, _):
        load(port, connections, calls, 1.0)
        return [load(port, connections, calls, seconds) for _ in range(ROUNDS)]


def told(name: str, found: list[dict[str, float]], calls: int) -> float:
    """Print a line; returns the median of the calls a second."""
    speeds = [each["requests"] * calls for each in found]
    middle = statistics.median(speeds)
    ms = " ".join(f"{name} {1000 * statistics.median(each[name] for each in found):.1f}" for name in ("p50", "p99"))
    busy = statistics.median(each["processor"] for each in found)
    spread = f"({min(speeds):,.0f} to {max(speeds):,.0f})"
    print(f"{name:44} {middle:>9,.0f} calls/s {spread:>20}  ms {ms}  load's processor {busy:.2f}", flush=True)
    return middle


def half(calls: int, connections: int, speed: float, seconds: float) -> None:
    """The latency under half of a load."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving("queue", Path(folder), 1) as (port, _):
        load(port, connections, calls, 1.0)
        found = load(port, connections, calls, 2 * seconds, speed / calls / 2)
    ms = " ".join(f"{name} {1000 * found[name]:.1f}" for name in ("p50", "p99", "most"))
    print(f"{f'half of it, {calls} a request':44} {found['requests'] * calls:>9,.0f} calls/s  ms {ms}", flush=True)


def memory(speed: float, seconds: float) -> None:
    """The memory of a worker under half of a load of batches."""
    calls, connections = SHAPES[0]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, serving("queue", Path(folder), 1) as (port, process):
        load(port, connections, calls, 2.0)
        seen = [megabytes(process)]
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            load(port, connections, calls, min(60.0, seconds), speed / calls / 2)
            seen.append(megabytes(process))
            print(f"{time.monotonic() - began:6.0f} s {seen[-1]} MB, at the start {seen[0]}", flush=True)


def main() -> None:
    """Run and print all."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seconds", type=float, default=5.0, help="of each round; the median of three counts")
    flags.add_argument("--calls", type=int, help="in a request: 50 or 1 alone")
    flags.add_argument("--memory-seconds", type=float, default=0.0, help="look at the memory for so long")
    flags.add_argument("--memory-rate", type=float, default=15_000.0, help="twice the calls a second meanwhile")
    flags.add_argument("--without-storing", action="store_true", help=argparse.SUPPRESS)
    given = flags.parse_args()
    if given.without_storing:
        serve(without_storing, parse_listen("127.0.0.1:0"), up=lambda found: print("bench:", found.url, flush=True))
        return
    if given.memory_seconds:
        memory(given.memory_rate, given.memory_seconds)
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    speeds = {}
    shapes = [shape for shape in SHAPES if given.calls in (None, shape[0])]
    for calls, connections in shapes:
        for kind in ("queue", "drop"):
            found = measured(kind, 1, calls, connections, given.seconds)
            speeds[kind, calls] = told(f"{kind}, {calls} a request, {connections} connections", found, calls)
        print(f"{'queue to drop':44} {speeds['queue', calls] / speeds['drop', calls]:>9.2f}")
        half(calls, connections, speeds["queue", calls], given.seconds)
    for calls, connections in shapes:
        told(f"queue, two workers, {calls} a request", measured("queue", 2, calls, connections, given.seconds), calls)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
