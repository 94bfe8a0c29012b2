"""The same memberships by columns and by DuckDB, and seeds. Each is one process, so that it can be measured whole.

    python -m bench.column_peers memberships|duckdb|seeds|encoded|start|duckdb_start FOLDER mixed|others|NUMBER
    python -m bench.column_peers prepare|rows FOLDER EVENTS

`mixed` are the 20 segments of definitions.yaml, `others` eight of the conditions that need more than runs of events,
NUMBER that many conditions of one leaf each. `start` and `duckdb_start` do all that comes before the first event.
`prepare` reads JSON Lines or Parquet and asks for the mixed memberships of them, `rows`
is the loop of `bench.peers`.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
NAMES = ("Product Viewed", "Product Added", "Order Completed", "Search", "Session Started", "Coupon Viewed")
DAY = 86_400_000_000
HOUR = DAY // 24
#: Ten days of events end here.
END = int(datetime(2026, 3, 11, tzinfo=UTC).timestamp() * 1_000_000)
OTHERS = """
segments:
  spent: {owner: bench, members: {event: Order Completed, sum: {of: revenue, at_least: 1000}, within: 7d}}
  average: {owner: bench, members: {event: Order Completed, average: {of: revenue, more_than: 500}}}
  dearest: {owner: bench, members: {event: Product Viewed, maximum: {of: price, at_least: 900}, within: 3d}}
  browsing: {owner: bench, members: {event: Product Viewed, distinct: {of: category, at_least: 3}, within: 7d}}
  fond: {owner: bench, members: {event: Product Viewed, same: category, count: {at_least: 4}, within: 7d}}
  shelf: {owner: bench, members: {event: Product Added, same: category, sum: {of: price, at_least: 1500}}}
  bought: {owner: bench, members: {sequence: [{event: Search}, {event: Product Viewed, within: 1d},
    {event: Order Completed, within: 1d}], within: 7d}}
  lively: {owner: bench, members: {event: any, count: {at_least: 30}, within: 7d}}
"""
#: Conditions on an event's properties: path, operator and operand, and the same in SQL.
WHERES: tuple[tuple[Any, str], ...] = (
    ((), ""),
    (("price", "at_least", 500), ' and "price#number" >= 500'),
    (("category", "is", "books"), " and \"category#text\" = 'books'"),
)


def segments(which: str) -> dict[str, Any]:
    """The conditions by name."""
    from transforms.campaigns.load import compiled  # noqa: PLC0415 - imported where it is measured
    from transforms.segments.conditions import Count, EventFilter  # noqa: PLC0415
    from transforms.segments.operators import Operator  # noqa: PLC0415

    if which in ("mixed", "others"):
        # Without campaigns and their messages, as the SQL is.
        text = OTHERS if which == "others" else DEFINITIONS.read_text().partition("campaigns:")[0]
        return {name: segment.members for name, segment in compiled(((f"{which}.yaml", text),)).segments.items()}
    found = {}
    for name, event, within, where, _ in _counts(which):
        tests = ((where[0], Operator(*where[1:])),) if where else ()
        found[name] = Count(EventFilter(event, None, tests), 2, None, within)
    return found


def _counts(which: str) -> Iterator[tuple[str, str, int, Any, str]]:
    """For each condition: its name, event, window and test, and the test in SQL."""
    for number in range(int(which)):
        event, (where, sql) = NAMES[number % len(NAMES)], WHERES[number // len(NAMES) % len(WHERES)]
        yield f"c{number}", event, (1 + number) * 240 // int(which) * HOUR or HOUR, where, sql


def memberships(folder: Path, which: str) -> int:
    """Members of all segments, by columns; written as one Parquet file a partition."""
    from transforms.segments.columns.layout import open_prepared  # noqa: PLC0415
    from transforms.segments.columns.memberships import USER, memberships  # noqa: PLC0415

    members = 0
    for number, frame in enumerate(memberships(segments(which), open_prepared(folder), END)):
        frame.write_parquet(folder / f"members-{number}.parquet")
        members += sum(frame.drop(USER).sum().row(0))
    return members


def duckdb(folder: Path, which: str) -> int:
    """The same as SQL, written as one Parquet file: one scan and one group-by for each event name, and joins."""
    import duckdb  # noqa: PLC0415 - a peer, imported where it is measured

    database = duckdb.connect()
    database.execute("set preserve_insertion_order = false")
    events, out = folder / "events.parquet", folder / "members.parquet"
    if which == "mixed":
        aggregates, truths = _MIXED, _MIXED_TRUTHS
    else:
        aggregates = {name: [] for name in NAMES}
        for name, event, within, _, where in _counts(which):
            aggregates[event].append(f"count(*) filter (time > {END - within}{where}) {name}")
        truths = {name: f"coalesce({name}, 0) >= 2" for name, *_ in _counts(which)}
    tables = [
        f"t{number} as (select \"user\", {', '.join(asked)} from '{events}' where name = '{name}' group by 1)"
        for number, (name, asked) in enumerate(aggregates.items())
    ]
    joins = " ".join(f'left join t{number} using ("user")' for number in range(len(aggregates)))
    asked = ", ".join(f"{truth} {name}" for name, truth in truths.items())
    database.execute(
        f"copy (with {', '.join(tables)} select id, {asked} from '{folder / 'users.parquet'}' {joins}) to '{out}'"
    )
    counted = " + ".join(f"count(*) filter ({name})" for name in truths)
    return int(database.execute(f"select {counted} from '{out}'").fetchall()[0][0])


def _within(days: float) -> str:
    return f"time > {END - int(days * DAY)}"


_MIXED = {
    "Product Viewed": [
        f"count(*) filter ({_within(7)}) v7",
        f"count(*) filter ({_within(1)}) v1",
        f'count(*) filter ({_within(3)} and "price#number" >= 500) v500',
        "max(time) v_last",
        "min(time) v_first",
    ],
    "Product Added": [
        f"count(*) filter ({_within(1)}) a1",
        "max(time) a_last",
        "count(*) filter (\"category#text\" in ('shoes', 'books')) a_category",
    ],
    "Order Completed": [
        "count(*) o",
        f"count(*) filter ({_within(3)}) o3",
        'count(*) filter ("revenue#number" > 900) o900',
        "max(time) o_last",
    ],
    "Search": [f"count(*) filter ({_within(2 / 24)}) s2h", f"count(*) filter ({_within(7)}) s7"],
    "Session Started": [f"count(*) filter ({_within(7)}) i7", "max(time) i_last"],
    "Coupon Viewed": [f"count(*) filter ({_within(2)}) c2"],
}
_MIXED_TRUTHS = {
    "s01": "coalesce(v7, 0) >= 3",
    "s02": "coalesce(v1, 0) >= 5",
    "s03": "coalesce(v500, 0) >= 1",
    "s04": f"coalesce(v_last <= {END - 2 * DAY}, false)",
    "s05": f"coalesce(v_first > {END - 7 * DAY}, false)",
    "s06": f"coalesce(v_last <= {END - HOUR} and (a_last is null or a_last < v_last), false)",
    "s07": "coalesce(a1, 0) >= 1",
    "s08": f"coalesce(a_last <= {END - HOUR} and (o_last is null or o_last < a_last), false)",
    "s09": "coalesce(a_category, 0) >= 2",
    "s10": "coalesce(o, 0) >= 2",
    "s11": "coalesce(o, 0) >= 2 and coalesce(o3, 0) < 1",
    "s12": "coalesce(o900, 0) >= 1",
    "s13": "coalesce(s2h, 0) between 2 and 5",
    "s14": "coalesce(s7, 0) <= 1",
    "s15": "coalesce(i7, 0) >= 4",
    "s16": f"coalesce(i_last > {END - DAY}, false)",
    "s17": "coalesce(o900, 0) >= 1 or coalesce(i7, 0) >= 4",
    "s18": "\"country#text\" = 'JP' and coalesce(v7, 0) >= 3",
    "s19": '"age#number" between 20 and 39 and not (coalesce(s7, 0) <= 1)',
    "s20": '"[token]#boolean" and coalesce(c2, 0) >= 1',
}


def seeds(folder: Path, which: str) -> int:
    """The evidence of all leaves as columns, written as one Arrow file a partition."""
    import polars as pl  # noqa: PLC0415

    stamps = 0
    for number, part in enumerate(_seeds(folder, which)):
        frames = [
            frame.with_columns(pl.lit(leaf, dtype=pl.UInt64).alias("leaf"))
            for leaf, kinds in part.leaves.items()
            for frame in kinds
        ]
        stamps += sum(frame.height for frame in frames)
        # Hashes of message ids cannot be compressed, so they are written as they are.
        pl.concat(frames).write_ipc(folder / f"stamps-{number}.arrow", compression="uncompressed")
    return stamps


def encoded(folder: Path, which: str) -> int:
    """The evidence of all leaves, encoded for each user."""
    return sum(len(data) > 0 for part in _seeds(folder, which) for _, data in part.encoded())


def _seeds(folder: Path, which: str) -> Iterator[Any]:
    from transforms.segments.columns.layout import open_prepared  # noqa: PLC0415
    from transforms.segments.columns.seeds import seeds  # noqa: PLC0415
    from transforms.segments.warming import atoms  # noqa: PLC0415

    leaves = [atom for condition in segments(which).values() for atom in atoms(condition)]
    return seeds(leaves, open_prepared(folder))


def start(folder: Path, which: str) -> int:
    """Imports and compiled definitions, without events."""
    from transforms.segments.columns.layout import open_prepared  # noqa: PLC0415
    from transforms.segments.columns.memberships import memberships  # noqa: PLC0415

    memberships(segments(which), open_prepared(folder), END)
    return 0


def duckdb_start(_folder: Path, _which: str) -> int:
    """An open database."""
    import duckdb  # noqa: PLC0415

    return len(duckdb.connect().execute("select 1").fetchall())


def prepare(folder: Path, events: str) -> int:
    """Calls of a file decoded and prepared, and the mixed memberships of them."""
    from transforms.events.files import messages_of_file  # noqa: PLC0415
    from transforms.segments.columns.layout import needs_of  # noqa: PLC0415
    from transforms.segments.columns.memberships import USER, memberships  # noqa: PLC0415
    from transforms.segments.warming import atoms  # noqa: PLC0415
    from transforms.users.prepare.prepare import prepare  # noqa: PLC0415

    asked = segments("mixed")
    needs = needs_of(atom for condition in asked.values() for atom in atoms(condition))
    with tempfile.TemporaryDirectory(dir=folder) as name, Path(events).open("rb") as lines:
        done = prepare(messages_of_file(lines, events), needs, Path(name) / "prepared")
        frames = memberships(asked, done.prepared, done.newest)
        return sum(sum(frame.drop(USER).sum().row(0)) for frame in frames)


def rows(_folder: Path, events: str) -> int:
    """The same by rows."""
    from bench.peers import loop  # noqa: PLC0415
    from transforms.campaigns.load import load  # noqa: PLC0415

    return loop(Path(events), load(DEFINITIONS))["members"]


WORK = {work.__name__: work for work in (memberships, duckdb, seeds, encoded, start, duckdb_start, prepare, rows)}

if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])))
