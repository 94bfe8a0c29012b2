"""Memberships as of a time, of all users of a prepared folder, a partition at a time."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

import polars as pl

from transforms.segments.columns.layout import Partition, Prepared
from transforms.segments.columns.leaves import ColumnLeaf, Scope, compile_leaf
from transforms.segments.columns.values import either
from transforms.segments.columns.zones import with_floors, with_zones
from transforms.segments.conditions import All, Any_, Condition, Not, SegmentRef
from transforms.segments.index import atoms, references
from transforms.segments.leaves import leaf_key

__all__ = ["USER", "memberships"]

#: The column with the user's id, `~` and the anonymous id of an anonymous user. No segment can be called so.
USER = "[user]"


def memberships(
    segments: Mapping[str, Condition], prepared: Prepared, as_of: int, default_zone: str = "UTC"
) -> Iterator[pl.DataFrame]:
    """Who is in which segment at `as_of` (microseconds UTC), a frame a partition.

    A frame has every known user of the partition: `USER`, and for each segment a column of true and false. Events that
    were not prepared, because they arrived later, do not count.

    Raises:
      NotColumnar: a condition has no columnar form.
      ValueError: the folder was prepared for other definitions.
    """
    prepared.check(atom for condition in segments.values() for atom in atoms(condition))
    for partition in prepared.partitions:
        yield _ask(segments, prepared, partition, as_of, default_zone).collect(engine="streaming")


def _ask(
    segments: Mapping[str, Condition], prepared: Prepared, partition: Partition, as_of: int, default_zone: str
) -> pl.LazyFrame:
    events, users = prepared.events(partition), prepared.users(partition)
    scope = Scope(as_of, frozenset(events.collect_schema().names()), frozenset(users.collect_schema().names()))
    distinct = {leaf_key(atom): atom for condition in segments.values() for atom in atoms(condition)}
    leaves = {key: compile_leaf(atom, scope) for key, atom in distinct.items()}
    users = with_zones(users, scope.users, default_zone, wanted=any(leaf.zoned for leaf in leaves.values()))
    asked = users
    for name, aggregates in _by_name(leaves).items():
        named = events.filter(pl.col("name") == name)
        if since := {day for leaf in leaves.values() if name in leaf.aggregates for day in leaf.since}:
            named = named.join(with_floors(users, since), on="user")
        asked = asked.join(named.group_by("user").agg(**aggregates), on="user", how="left")
    if since := {day for leaf in leaves.values() for day in leaf.since}:
        asked = asked.join(with_floors(users, since), on="user", how="left")
    asked = asked.select(pl.col("id").alias(USER), **{_name(key): leaf.truth for key, leaf in leaves.items()})
    for level in _levels(segments):
        asked = asked.with_columns(**{name: _holds(segments[name]) for name in level})
    return asked.select(USER, *segments)


def _by_name(leaves: Mapping[int, ColumnLeaf]) -> dict[str, dict[str, pl.Expr]]:
    """What is asked of the events of each name: one group-by a name reads each event once for all leaves."""
    found: dict[str, dict[str, pl.Expr]] = {}
    for leaf in leaves.values():
        for name, aggregates in leaf.aggregates.items():
            found.setdefault(name, {}).update(aggregates)
    return found


def _name(key: int) -> str:
    """The column of a leaf's truth. No segment can be called so."""
    return f"[leaf]{key:016x}"


def _levels(segments: Mapping[str, Condition]) -> Iterator[list[str]]:
    """The segments, those that others refer to first."""
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
