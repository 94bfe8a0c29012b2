"""`todoke run` from JSON Lines, against a plain loop and bytewax with the same core.

    python -m bench.run [--events N] [--users N]

Each is measured as a whole process with N and 2 N events; what the second N cost is the cost per event, the rest is
start-up. Ratios are of costs per event in the same run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.events import write_events
from bench.peers import DEFINITIONS

RUNS = 3


def measure(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and standard output of one process."""
    with (folder / "out.txt").open("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, cwd=Path(__file__).parent.parent)
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - started
        output.seek(0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        return elapsed, usage.ru_maxrss / 1024, output.read()


def commands(events: Path, folder: Path) -> dict[str, list[str]]:
    """What is measured, by name."""
    run = [sys.executable, "-m", "todoke", "run", "--definitions", str(DEFINITIONS), "--events", str(events)]
    run += ["--outbox", str(folder / "outbox"), "--report", str(folder / "report.json")]
    return {
        "plain loop": [sys.executable, "-m", "bench.peers", "loop", str(events)],
        "bytewax 0.21.1": [sys.executable, "-m", "bench.peers", "bytewax", str(events)],
        "todoke run, no store": [*run, "--store", "none"],
        "todoke run, SQLite": [*run, "--store", f"sqlite:{folder / f'{time.time_ns()}.db'}"],
    }


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=200_000)
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--runs", type=int, default=RUNS)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = (given.events, 2 * given.events)
        for size in sizes:
            write_events(folder / f"{size}.jsonl", size, given.users)
        best: dict[tuple[str, int], tuple[float, float]] = {}
        for _ in range(given.runs):
            for size in sizes:
                for what, command in commands(folder / f"{size}.jsonl", folder).items():
                    elapsed, memory, output = measure(command, folder)
                    best[what, size] = min(best.get((what, size), (elapsed, memory)), (elapsed, memory))
                    if what == "plain loop":
                        answer = json.loads(output)
            report = json.loads((folder / "report.json").read_text())
            assert sum(report["segments"].values()) == answer["members"], "the peers do not agree"
        show(best, sizes, given.users)


def show(best: dict[tuple[str, int], tuple[float, float]], sizes: tuple[int, int], users: int) -> None:
    """Print the table, best of the runs."""
    small, large = sizes
    print(f"{users:,} users; {small:,} and {large:,} events; 20 segments, 3 campaigns; one machine, whole processes")
    print(f"{'':24}{'s':>8}{'s, twice':>10}{'us/event':>10}{'events/s':>10}{'x loop':>8}{'x bytewax':>11}{'MB':>7}")
    cost = {
        what: (best[what, large][0] - best[what, small][0]) / (large - small) for what, size in best if size == small
    }
    for what, each in cost.items():
        loop, peer = cost["plain loop"] / each, cost["bytewax 0.21.1"] / each
        seconds, twice = best[what, small][0], best[what, large][0]
        memory = best[what, large][1]
        speed = f"{each * 1e6:10.1f}{1 / each:10,.0f}{loop:8.2f}{peer:11.2f}"
        print(f"{what:24}{seconds:8.2f}{twice:10.2f}{speed}{memory:7.0f}")


if __name__ == "__main__":
    main()
