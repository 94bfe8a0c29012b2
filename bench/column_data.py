"""Prepared events for measurements: the layout of `segments.columns.layout`, and one table for DuckDB.

    python -m bench.column_data FOLDER EVENTS USERS PARTS

Ten days of six events as in `bench.events`; the folder holds them as `users.prepare` would have written them. DuckDB
gets the same rows in the same order in one file, with users numbered throughout.
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from bench.column_peers import DAY, END, NAMES, segments
from transforms.segments.columns.layout import Partition, Prepared, needs_of
from transforms.segments.warming import atoms

__all__ = ["write_prepared"]

_WEIGHTS = (0.45, 0.15, 0.05, 0.15, 0.15, 0.05)
_START = END - 10 * DAY


def write_prepared(folder: Path, events: int, users: int, parts: int) -> None:
    """Write `folder/prepared.json` with its partitions, and `events.parquet` and `users.parquet` for DuckDB."""
    partitions = []
    for part in range(parts):
        partition = Partition(f"{part:03}-users.parquet", f"{part:03}-events.parquet")
        first, last = users * part // parts, users * (part + 1) // parts
        rows = _events(np.random.default_rng(part), events * (part + 1) // parts - events * part // parts, last - first)
        known = _users(np.random.default_rng(1000 + part), first, last)
        rows.write_parquet(folder / partition.events, row_group_size=65_536, compression="lz4")
        known.write_parquet(folder / partition.users)
        rows.with_columns(pl.col("user") + first).write_parquet(folder / f"all-{part:03}.parquet")
        known.with_columns(pl.col("user") + first).write_parquet(folder / f"everybody-{part:03}.parquet")
        partitions.append(partition)
    whole = pl.scan_parquet(folder / "all-*.parquet").sort("name", "user", "time", "hash").collect()
    whole.write_parquet(folder / "events.parquet", row_group_size=122_880, compression="lz4")  # as DuckDB itself writes
    pl.read_parquet(folder / "everybody-*.parquet").write_parquet(folder / "users.parquet")
    asked = [atom for which in ("mixed", "others", "200") for each in segments(which).values() for atom in atoms(each)]
    prepared = Prepared(END, needs_of(asked), tuple(partitions))
    (folder / "prepared.json").write_bytes(msgspec.json.encode(prepared))


def _events(chance: np.random.Generator, events: int, users: int) -> pl.DataFrame:
    rows = pl.DataFrame(
        {
            "name": pl.Series(np.array(NAMES)[chance.choice(len(NAMES), events, p=_WEIGHTS)]),
            "user": chance.integers(0, users, events).astype(np.uint32),
            "time": _START + chance.integers(0, 10 * DAY, events),
            "hash": chance.integers(0, 2**64 - 1, events, dtype=np.uint64),
            "type": pl.repeat("track", events, eager=True),
            "price#number": chance.integers(0, 1000, events).astype(float),
            "revenue#number": chance.integers(0, 1000, events).astype(float),
            "category#text": pl.Series(np.array(["shoes", "books", "music", "games"])[chance.integers(0, 4, events)]),
        }
    )
    return rows.sort("name", "user", "time", "hash")


def _users(chance: np.random.Generator, first: int, last: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user": np.arange(last - first, dtype=np.uint32),
            "id": [f"user-{number:06d}" for number in range(first, last)],
            "country#text": pl.Series(np.array(["JP", "US", "DE"])[chance.integers(0, 3, last - first)]),
            "age#number": chance.integers(15, 70, last - first).astype(float),
            "[token]#boolean": pl.repeat(True, last - first, eager=True),
        }
    )


if __name__ == "__main__":
    write_prepared(Path(sys.argv[1]), *map(int, sys.argv[2:]))
