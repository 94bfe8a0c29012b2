"""Whether the memory of a run over files stays flat: `todoke run` and `todoke backfill` of ever more events.

    python -m bench.memory [--events N ...] [--each N]

A user has 40 events (`--each`), so that there are more users and sends, too: 20 segments, 3 campaigns, SQLite, whole
processes. The exit code is 1 if ten times the events cost more than 60 MB, between the fewest and the most.
"""

import argparse
import sys
import tempfile
from math import log10
from pathlib import Path

from bench.backfill import backfill
from bench.events import write_events
from bench.peers import DEFINITIONS
from bench.run import measure

#: What ten times the events may cost, in MB.
MOST = 60.0


def commands(lines: Path, folder: Path) -> dict[str, list[str]]:
    """What is measured, by name."""
    run = [sys.executable, "-m", "todoke", "run", "--definitions", str(DEFINITIONS), "--events", str(lines)]
    return {
        "run": [*run, "--store", f"sqlite:{folder / 'run.db'}", "--outbox", str(folder / "outbox")],
        "backfill": [*backfill(lines), "--store", f"sqlite:{folder / 'backfill.db'}"],
    }


def main() -> int:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, nargs="+", default=[40_000, 400_000, 1_600_000, 4_000_000])
    flags.add_argument("--each", type=int, default=40)
    given = flags.parse_args()
    found: dict[str, list[float]] = {}
    print(f"{'':10}{'events':>12}{'s':>9}{'MB':>8}")
    for size in sorted(given.events):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lines = folder / "events.jsonl"
            write_events(lines, size, size // given.each)
            for what, command in commands(lines, folder).items():
                seconds, memory, _ = measure(command, folder)
                print(f"{what:10}{size:12,}{seconds:9.1f}{memory:8.0f}", flush=True)
                found.setdefault(what, []).append(memory)
    tens = log10(max(given.events) / min(given.events)) or 1
    grown = {what: (memory[-1] - memory[0]) / tens for what, memory in found.items()}
    print("ten times the events cost " + ", ".join(f"{what} {more:.0f} MB" for what, more in grown.items()))
    return int(max(grown.values()) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
