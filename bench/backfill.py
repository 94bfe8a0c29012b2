"""Memberships by columns, alone and in Beam, and by rows; whole users; an audit of these. Seconds and peak memory.

    python -m bench.backfill [--events N ...] [--users N] [--runner NAME]

Each is a whole process, start-up and reading JSON Lines included: the 20 segments of definitions.yaml. `plan` prepares
and asks, and writes nothing. What goes by rows, and the audit, are of the smallest number of events that is named.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from bench.events import write_events
from bench.run import measure

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
AS_OF = ("--as-of", "2026-03-11T00:00:00Z")


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, nargs="+", default=[200_000, 2_000_000])
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--runner", default="FnApiRunner")
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{given.users:,} users\n{'':16}{'events':>12}{'s':>9}{'MB':>8}")
        for size in given.events:
            lines = folder / f"{size}.jsonl"
            write_events(lines, size, given.users)
            alone = [sys.executable, "-m", "bench.column_peers", "prepare", str(folder), str(lines)]
            show("plan", size, alone, folder)
            memberships = [*backfill(lines), "--write", "memberships", "--out", str(folder / "out")]
            show("columns", size, memberships, folder)
            show("columns in Beam", size, [*memberships, f"--runner={given.runner}"], folder)
            if size == min(given.events):
                show("rows", size, [*memberships, "--engine", "rows"], folder)
                store = ("--store", f"sqlite:{folder / 'store.db'}")
                show("whole users", size, [*backfill(lines), *store], folder)
                audit = [sys.executable, "-m", "todoke", "backfill", "--definitions", str(DEFINITIONS), *AS_OF, *store]
                show("audit", size, [*audit, "--write", "audit", "--report", str(folder / "audit.json")], folder)
            lines.unlink()


def backfill(lines: Path) -> list[str]:
    """The command without what it writes."""
    command = [sys.executable, "-m", "todoke", "backfill", "--definitions", str(DEFINITIONS), *AS_OF]
    return [*command, "--events", str(lines)]


def show(what: str, events: int, command: list[str], folder: Path) -> None:
    """Measure one process and print a line."""
    seconds, memory, _ = measure(command, folder)
    print(f"{what:16}{events:12,}{seconds:9.1f}{memory:8.0f}", flush=True)


if __name__ == "__main__":
    main()
