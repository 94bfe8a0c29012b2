"""Columnar memberships and seeds against DuckDB on the same prepared events, and against rows on raw ones.

    python -m bench.columns [--events N] [--users N] [--parts N] [--raw N] [--runs N]

Each is measured as a whole process, start-up and writing the answer included; best of the runs, which take turns. The
events are prepared already (decoded, owned, without repetitions, sorted by name and user), for DuckDB too. What
preparing costs is measured on raw events, of which there are fewer, beside the same definitions by rows.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.events import write_events
from bench.run import measure

PREPARED = (
    *(("start", "mixed"), ("duckdb_start", "mixed")),
    *(("memberships", "mixed"), ("duckdb", "mixed"), ("seeds", "mixed"), ("encoded", "mixed")),
    *(("memberships", "others"), ("seeds", "others"), ("encoded", "others")),
    *(("memberships", "40"), ("duckdb", "40"), ("memberships", "200"), ("duckdb", "200")),
)


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=5_000_000)
    flags.add_argument("--users", type=int, default=200_000)
    flags.add_argument("--parts", type=int, default=8)
    flags.add_argument("--raw", type=int, default=200_000)
    flags.add_argument("--runs", type=int, default=3)
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = [str(size) for size in (given.events, given.users, given.parts)]
        # In a process of its own: a child's peak memory begins with that of its parent.
        measure([sys.executable, "-m", "bench.column_data", str(folder), *sizes], folder)
        raw = folder / "raw.jsonl"
        write_events(raw, given.raw, given.raw // 40)
        work = [*PREPARED, ("prepare", str(raw)), ("rows", str(raw))]
        best: dict[tuple[str, str], tuple[float, float]] = {}
        answers: dict[tuple[str, str], int] = {}
        for _ in range(given.runs):
            for what, which in work:
                command = [sys.executable, "-m", "bench.column_peers", what, str(folder), which]
                seconds, memory, output = measure(command, folder)
                before = best.get((what, which), (seconds, memory))
                best[what, which] = min(before[0], seconds), min(before[1], memory)
                answers[what, which] = json.loads(output)
    for which in ("mixed", "40", "200"):
        assert answers["memberships", which] == answers["duckdb", which], "the peers do not agree"
    assert answers["prepare", str(raw)] == answers["rows", str(raw)], "columns and rows do not agree"
    print(f"{given.users:,} users, {given.events:,} events, {given.parts} partitions; raw: {given.raw:,} events")
    print(f"{'':14}{'':>7}{'s':>8}{'less start':>12}{'MB':>6}{'answer':>13}")
    for (what, which), (seconds, memory) in best.items():
        begun = best["duckdb_start" if what == "duckdb" else "start", "mixed"][0]
        asked = "raw" if which == str(raw) else which
        print(f"{what:14}{asked:>7}{seconds:8.2f}{seconds - begun:12.2f}{memory:6.0f}{answers[what, which]:13,}")


if __name__ == "__main__":
    main()
