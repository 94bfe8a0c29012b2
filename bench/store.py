"""Rows a second through the stores: SQLite in a new file, Bigtable's emulator.

    python -m bench.store [--rows N] [--singles N] [--batch N]

Each figure is one run on rows of its own. The emulator keeps its rows in memory on the same machine: it shows what the
client and the batches cost, and nothing about Bigtable itself.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transforms.storage.open import open_store
from transforms.storage.rows import EventKey, EventRow, LedgerRow, UserRow
from transforms.storage.store import Store

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from emulators import EmulatorMissing, start_bigtable

NOW = 1_772_000_000_000_000
STATE, PROFILE, PAYLOAD = os.urandom(700), b'{"x": "' + b"y" * 290 + b'"}', b'{"x": "' + b"y" * 390 + b'"}'

#: By name: how to make a row from a number, and what to do with a batch of them.
WORK: dict[str, tuple[Callable[[int], Any], Callable[[Store], Callable[[Sequence[Any]], Any]]]] = {
    "write users": (
        lambda n: UserRow(f"user-{n}", 1, STATE, PROFILE, NOW),
        lambda store: store.write_users,
    ),
    "read users": (lambda n: f"user-{n}", lambda store: store.read_users),
    "write events": (
        lambda n: EventRow(f"user-{n % 997}", NOW + n, f"m-{n}", NOW, "track", "Order Completed", "live", PAYLOAD),
        lambda store: store.write_events,
    ),
    "find events": (lambda n: EventKey(f"user-{n % 997}", NOW + n, f"m-{n}"), lambda store: store.existing_events),
    "claim sends": (lambda n: sent(n, "claimed"), lambda store: store.claim),
    "claim again": (lambda n: sent(n, "claimed"), lambda store: store.claim),
    "record sends": (lambda n: sent(n, "handed_off"), lambda store: store.record),
}


def sent(number: int, state: str) -> LedgerRow:
    """A row of the ledger, of about 200 bytes."""
    return LedgerRow(f"user-{number}", f"{number:032x}", state, "win_back", "push", "push", NOW, NOW, detail="p" * 40)


def measure(url: str, rows: int, batch: int) -> dict[str, float]:
    """Rows a second of each kind of work, on an empty store."""
    store = open_store(url)
    speeds: dict[str, float] = {}
    for name, (make, bound) in WORK.items():
        call, made = bound(store), [make(number) for number in range(rows)]
        started = time.perf_counter()
        for start in range(0, rows, batch):
            call(made[start : start + batch])
        speeds[name] = rows / (time.perf_counter() - started)
    started = time.perf_counter()
    assert sum(1 for _ in store.scan_users()) == rows
    speeds["scan users"] = rows / (time.perf_counter() - started)
    store.close()
    return speeds


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--rows", type=int, default=20_000)
    flags.add_argument("--singles", type=int, default=1_000)
    flags.add_argument("--batch", type=int, default=500)
    given = flags.parse_args()
    sizes = ((given.rows, given.batch), (given.singles, 1))
    columns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows, batch in sizes:
            columns[f"SQLite x{batch}"] = measure(f"sqlite:{folder}/{batch}.db", rows, batch)
        try:
            emulator = start_bigtable()
        except EmulatorMissing as missing:
            print(missing, file=sys.stderr)
        else:
            os.environ["BIGTABLE_EMULATOR_HOST"] = emulator.host
            for rows, batch in sizes:
                columns[f"Bigtable x{batch}"] = measure(f"bigtable:bench/batches-of-{batch}", rows, batch)
            emulator.stop()
    print(f"rows/s; {given.rows:,} rows in batches of {given.batch}, {given.singles:,} one by one; one thread")
    print("users of 1 kB; events of 400 bytes of payload, of 997 users; ledger rows of 200 bytes; Bigtable's emulator")
    print(f"{'':14}" + "".join(f"{column:>16}" for column in columns))
    for name in [*WORK, "scan users"]:
        print(f"{name:14}" + "".join(f"{speeds[name]:16,.0f}" for speeds in columns.values()))


if __name__ == "__main__":
    main()
