"""Flink with one and two TaskManagers against FnApiRunner and Prism, everything on this machine.

    python -m bench.flink [--events N] [--users N] [--runs N]

The live graph over files to their end with SQLite, and memberships by columns, are each measured as a whole process
with a tenth of N and with N events. What the further ones cost is the cost of an event; what is left is start-up, which
on Flink is sending the class path and starting workers. Each measurement is printed as it is made, on standard error.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bench.events import write_events
from bench.peers import DEFINITIONS
from todoke.prism import find_prism
from tools.flink import FLINK, cluster
from transforms.campaigns.load import load
from transforms.storage.open import open_store

ROOT = Path(__file__).parent.parent
#: The events are in so many files, for workers to share.
FILES = 8
#: How long one job may take, in seconds.
PATIENCE = 1800.0
LIVE, BACKFILL = "live graph, SQLite", "memberships by columns"


class Engine(NamedTuple):
    """An engine: how its jobs are called, and how they are told to use it; `inside` puts a command beside it."""

    name: str
    job: str
    runner: tuple[str, ...]
    parallelism: int = 1
    inside: Callable[[list[str]], list[str]] = list


def engines() -> Iterator[Engine]:
    """One after another; a cluster runs only while it is measured."""
    prism = f"--prism_location={find_prism().path}"
    yield Engine("FnApiRunner", "fnapi", ("--runner=FnApiRunner",))
    yield Engine("Prism", "prism", ("--runner=PrismRunner", "--environment_type=LOOPBACK", prism))
    for count in (1, 2):
        with cluster(count) as flink:
            yield Engine(f"Flink, TaskManagers: {count}", "flink", (f"--flink={FLINK}",), count, flink.command)


def commands(engine: Engine, events: str, folder: Path) -> dict[str, list[str]]:
    """What is measured, by name; `folder` is empty."""
    live = ["-m", "bench.flink_job", engine.job, events, f"sqlite:{folder}/store.db", f"{folder}/outbox"]
    backfill = ["-m", "todoke", "backfill", "--write", "memberships", "--engine", "columns", "--events", events]
    backfill += ["--definitions", str(DEFINITIONS), "--as-of", "2026-03-15T00:00:00Z", "--out", f"{folder}/members"]
    return {LIVE: [*live, str(engine.parallelism)], BACKFILL: [*backfill, *engine.runner]}


def measure(engine: Engine, command: list[str]) -> float:
    """Seconds of one process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    words = engine.inside([sys.executable, *command])
    done = subprocess.run(
        words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{engine.name}: {' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return elapsed


def answer(what: str, folder: Path) -> int:
    """How many memberships came of it: all engines must agree."""
    if what == BACKFILL:
        return pl.read_parquet(folder / "members" / "*.parquet").height
    store = open_store(f"sqlite:{folder / 'store.db'}")
    found = sum(1 for segment in load(DEFINITIONS).segments for _ in store.scan_members(segment))
    store.close()
    return found


def write(folder: Path, events: int, users: int) -> str:
    """Write the events into files; returns their pattern."""
    folder.mkdir()
    write_events(folder / "all.txt", events, users)
    lines = (folder / "all.txt").read_bytes().splitlines(keepends=True)
    for number in range(FILES):
        (folder / f"{number}.jsonl").write_bytes(b"".join(lines[number::FILES]))
    return str(folder / "*.jsonl")


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=30_000)
    flags.add_argument("--users", type=int, default=2_000)
    flags.add_argument("--runs", type=int, default=1)
    given = flags.parse_args()
    sizes = (given.events // 10, given.events)
    best: dict[tuple[str, str, int], float] = {}
    answers: dict[tuple[str, int], set[int]] = {}
    with tempfile.TemporaryDirectory() as name:
        patterns = {size: write(Path(name) / str(size), size, given.users) for size in sizes}
        for engine in engines():
            for size in sizes:
                for run in range(given.runs):
                    folder = Path(name) / f"{engine.name} {size} {run}"
                    folder.mkdir()
                    for what, command in commands(engine, patterns[size], folder).items():
                        elapsed = measure(engine, command)
                        say(f"{engine.name}, {what}, {size:,} events: {elapsed:.1f} s")
                        key = (what, engine.name, size)
                        best[key] = min(best.get(key, elapsed), elapsed)
                        answers.setdefault((what, size), set()).add(answer(what, folder))
    assert all(len(found) == 1 for found in answers.values()), f"the engines do not agree: {answers}"
    show(best, sizes, given.users)


def say(what: str) -> None:
    """A line of what goes on."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def rate(events: int, seconds: float) -> float:
    """Events a second; no number where the machine was so busy that fewer events took longer."""
    return events / seconds if seconds > 0 else math.nan


def show(best: dict[tuple[str, str, int], float], sizes: tuple[int, int], users: int) -> None:
    """Print the tables, best of the runs."""
    small, large = sizes
    load = os.getloadavg()[1]
    print(f"{users:,} users; {small:,} and {large:,} events in {FILES} files; one machine; load of 5 min {load:.1f}")
    for what in (LIVE, BACKFILL):
        print(f"\n{what:24}{'s, N/10':>8}{'s, N':>8}{'events/s':>10}{'x FnApiRunner':>15}{'x Prism':>9}")
        speed = {
            name: rate(large - small, best[what, name, large] - best[what, name, small])
            for each, name, size in best
            if each == what and size == small
        }
        for name, each in speed.items():
            seconds, more = best[what, name, small], best[what, name, large]
            ratios = f"{each / speed['FnApiRunner']:15.2f}{each / speed['Prism']:9.2f}"
            print(f"{name:24}{seconds:8.1f}{more:8.1f}{each:10,.0f}{ratios}")


if __name__ == "__main__":
    main()
