"""Memberships by columns, alone and in Beam, and by rows; whole users; an audit of these. Seconds, those of the
processor, and peak memory.

    python -m bench.backfill [--events N ...] [--users N] [--runner NAME] [--columns-only]

Each is a whole process, start-up and reading Parquet included: the 20 segments of definitions.yaml. `plan` prepares
and asks, and writes nothing. What goes by rows, and the audit, are of the smallest number of events that is named.
Processes beside it that a runner starts do not count; FnApiRunner starts none.
"""

import argparse
import json
import resource
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.events import write_events
from bench.run import measure

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in ("type", "messageId", "userId", "timestamp", "event", "properties", "traits", "context")
    ]
)
ROW_GROUP = 100_000
AS_OF = ("--as-of", "2026-03-11T00:00:00Z")


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, nargs="+", default=[200_000, 2_000_000])
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--runner", default="FnApiRunner")
    flags.add_argument("--columns-only", action="store_true")
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{given.users:,} users\n{'':16}{'events':>12}{'s':>9}{'CPU s':>9}{'MB':>8}")
        for size in given.events:
            lines = folder / f"{size}.parquet"
            write_parquet(lines, size, given.users)
            alone = [sys.executable, "-m", "bench.column_peers", "prepare", str(folder), str(lines)]
            show("plan", size, alone, folder)
            memberships = [*backfill(lines), "--write", "memberships", "--out", str(folder / "out")]
            show("columns", size, memberships, folder)
            show("columns in Beam", size, [*memberships, f"--runner={given.runner}"], folder)
            if size == min(given.events) and not given.columns_only:
                show("rows", size, [*memberships, "--engine", "rows"], folder)
                store = ("--store", f"sqlite:{folder / 'store.db'}")
                show("whole users", size, [*backfill(lines), *store], folder)
                audit = [sys.executable, "-m", "todoke", "backfill", "--definitions", str(DEFINITIONS), *AS_OF, *store]
                show("audit", size, [*audit, "--write", "audit", "--report", str(folder / "audit.json")], folder)
            lines.unlink()


def write_parquet(place: Path, events: int, users: int) -> None:
    """The events of `bench.events`, as an export has them: objects are JSON."""
    lines = place.with_suffix(".jsonl")
    write_events(lines, events, users)
    with lines.open("rb") as file, pq.ParquetWriter(place, SCHEMA, compression="zstd") as writer:
        while some := [json.loads(line) for line in islice(file, ROW_GROUP)]:
            rows = ({name: _cell(call.get(name)) for name in SCHEMA.names} for call in some)
            writer.write_table(pa.Table.from_pylist(list(rows), SCHEMA))
    lines.unlink()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def backfill(lines: Path) -> list[str]:
    """The command without what it writes."""
    command = [sys.executable, "-m", "todoke", "backfill", "--definitions", str(DEFINITIONS), *AS_OF]
    return [*command, "--events", str(lines)]


def show(what: str, events: int, command: list[str], folder: Path) -> None:
    """Measure one process and print a line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory, _ = measure(command, folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:16}{events:12,}{seconds:9.1f}{busy:9.1f}{memory:8.0f}", flush=True)


if __name__ == "__main__":
    main()
