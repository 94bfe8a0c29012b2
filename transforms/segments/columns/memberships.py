"""Memberships as of a time, for all users of a prepared folder, one partition at a time."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

import polars as pl

from transforms.segments.columns.aggregates import Aggregate, aggregated, placed
from transforms.segments.columns.layout import Partition, Prepared, events_named
from transforms.segments.columns.leaves import ColumnLeaf, Scope, compile_leaf
from transforms.segments.columns.reading import gathered
from transforms.segments.columns.values import either
from transforms.segments.columns.windows import NOW, floor_of
from transforms.segments.columns.zones import with_floors, with_zones
from transforms.segments.conditions import All, Any_, Condition, Not, SegmentRef
from transforms.segments.leaves import EventLeaf, leaf_key
from transforms.segments.warming import atoms, references

__all__ = ["USER", "memberships"]

#: The column with the user's id, or `~` and the anonymous id. No segment can have this name.
USER = "[user]"


def memberships(
    segments: Mapping[str, Condition],
    prepared: Prepared,
    as_of: int | Mapping[str, int],
    default_zone: str = "UTC",
    default_region: str = "",
) -> Iterator[pl.DataFrame]:
    """Who is in which segment at `as_of` (microseconds UTC; by id, where each user has one), a frame a partition.

    A frame has every known user of the partition: `USER`, and for each segment a column of true and false. Events that
    were not prepared, because they arrived later, do not count.

    Raises:
      NotColumnar: a condition has no columnar form.
      ValueError: the folder was prepared for other definitions.
    """
    prepared.check(atom for condition in segments.values() for atom in atoms(condition))
    yield from prepared.each(
        lambda partition: _ask(segments, prepared, partition, as_of, (default_zone, default_region))
    )


def _ask(
    segments: Mapping[str, Condition],
    prepared: Prepared,
    partition: Partition,
    as_of: int | Mapping[str, int],
    defaults: tuple[str, str],
) -> pl.DataFrame:
    default_zone, default_region = defaults
    events, users = prepared.events(partition), prepared.users(partition)
    present = frozenset(events.collect_schema().names()), frozenset(users.collect_schema().names())
    scope = Scope(as_of if isinstance(as_of, int) else pl.col(NOW), *present, default_region)
    distinct = {leaf_key(atom): atom for condition in segments.values() for atom in atoms(condition)}
    leaves = {key: compile_leaf(atom, scope) for key, atom in distinct.items()}
    since = {day for leaf in leaves.values() for day in leaf.since}
    if any(leaf.zoned for leaf in leaves.values()):
        users = with_floors(with_zones(users, scope.users, default_zone), since)
    if not isinstance(as_of, int):
        users = users.with_columns(pl.col("id").replace_strict(as_of, return_dtype=pl.Int64).alias(NOW))
    known = users.collect(engine="streaming")
    now = as_of if isinstance(as_of, int) else known[NOW]
    beside = [*(floor_of(day) for day in sorted(since)), *([] if isinstance(as_of, int) else [NOW])]
    answers: list[pl.Series] = []
    for name, asked in _by_name(leaves).items():
        named = events_named(events, name)
        if beside:
            mine = known.lazy().select("user", *beside)
            named = named.join(mine, on="user", how="left", maintain_order="left")
        answers += aggregated(named, asked, known.height)
    for leaf, evidence in gathered(leaves.values(), events, scope.events):
        answers.append(_answer(leaf, evidence, now, known))
    truths = {_name(key): leaf.truth for key, leaf in leaves.items()}
    found = known.hstack(answers).lazy().select(pl.col("id").alias(USER), **truths)
    for level in _levels(segments):
        found = found.with_columns(**{name: _holds(segments[name]) for name in level})
    return found.select(USER, *segments).collect()


def _answer(leaf: ColumnLeaf, evidence: Any, now: int | pl.Series, known: pl.DataFrame) -> pl.Series:
    """The truth of a leaf that gathers events, one value for each user; without evidence, that of an unknown user."""
    assert leaf.gathered is not None
    starts = [known[floor_of(day)] for day in leaf.since]
    truths = leaf.gathered.truths(evidence, now, starts[0] if starts else None)
    unseen = EventLeaf(leaf.gathered.condition).unseen.truth
    return placed(known.height, pl.Boolean, unseen, truths["user"], truths["truth"]).alias(f"{leaf.key:016x}")


def _by_name(leaves: Mapping[int, ColumnLeaf]) -> dict[str, dict[str, Aggregate]]:
    """What to compute of the events of each name; they are read once for all leaves."""
    found: dict[str, dict[str, Aggregate]] = {}
    for leaf in leaves.values():
        for name, aggregates in leaf.aggregates.items():
            found.setdefault(name, {}).update(aggregates)
    return found


def _name(key: int) -> str:
    """The column of a leaf's truth. No segment can have this name."""
    return f"[leaf]{key:016x}"


def _levels(segments: Mapping[str, Condition]) -> Iterator[list[str]]:
    """The segments; those that others refer to come first."""
    order = TopologicalSorter({name: references(condition) for name, condition in segments.items()})
    order.prepare()
    while ready := order.get_ready():
        yield sorted(ready)
        order.done(*ready)


def _holds(condition: Condition) -> pl.Expr:
    match condition:
        case All(parts):
            return pl.all_horizontal([_holds(part) for part in parts])
        case Any_(parts):
            return either([_holds(part) for part in parts])
        case Not(part):
            return ~_holds(part)
        case SegmentRef(segment):
            return pl.col(segment)
    return pl.col(_name(leaf_key(condition)))
