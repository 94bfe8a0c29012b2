"""Columnar memberships and seeds against DuckDB on the same prepared events.

    python -m bench.columns [--events N] [--users N] [--parts N] [--runs N]

Each is measured as a whole process, start-up and writing the answer included; best of the runs, which take turns. The
events are prepared already (decoded, owned, without repetitions, sorted by name and user): what that costs is measured
apart.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.run import measure

WHAT = (
    *(("memberships", "mixed"), ("duckdb", "mixed"), ("seeds", "mixed"), ("encoded", "mixed")),
    *(("memberships", "40"), ("memberships", "200"), ("duckdb", "40"), ("duckdb", "200")),
)


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=5_000_000)
    flags.add_argument("--users", type=int, default=200_000)
    flags.add_argument("--parts", type=int, default=8)
    flags.add_argument("--runs", type=int, default=3)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [str(size) for size in (given.events, given.users, given.parts)]
        # In a process of its own: a child's peak memory begins with that of its parent.
        measure([sys.executable, "-m", "bench.column_data", str(folder), *sizes], folder)
        best: dict[tuple[str, str], tuple[float, float]] = {}
        answers: dict[tuple[str, str], int] = {}
        for _ in range(given.runs):
            for work, which in WHAT:
                command = [sys.executable, "-m", "bench.column_peers", work, str(folder), which]
                seconds, memory, output = measure(command, folder)
                before = best.get((work, which), (seconds, memory))
                best[work, which] = min(before[0], seconds), min(before[1], memory)
                answers[work, which] = json.loads(output)
        for which in ("mixed", "40", "200"):
            assert answers["memberships", which] == answers["duckdb", which], "the peers do not agree"
    print(f"{given.users:,} users, {given.events:,} events, {given.parts} partitions; whole processes")
    print(f"{'':12}{'':8}{'s':>8}{'MB':>8}{'answer':>14}")
    for (work, which), (seconds, memory) in best.items():
        print(f"{work:12}{which:>8}{seconds:8.2f}{memory:8.0f}{answers[work, which]:14,}")


if __name__ == "__main__":
    main()
