"""The evidence of leaves as columns: what rows keep of each user's events, so that a job can go on from there.

Events are sorted by (name, user, time, hash). So among the matching events, a user's newest n are those whose n-th
successor belongs to somebody else. That needs no group-by, and leaves over the same events share the work.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import polars as pl

from transforms.segments.columns.encode import encode_stamps
from transforms.segments.columns.layout import Partition, Prepared, events_named
from transforms.segments.columns.leaves import ColumnLeaf, KeptStamps, Scope, compile_leaf
from transforms.segments.columns.reading import columns_read, gathered, passing
from transforms.segments.conditions import EventCondition, EventFilter, FactCondition
from transforms.segments.leaves import leaf_key

__all__ = ["PartitionSeeds", "seeds"]

_encode = msgspec.msgpack.Encoder().encode


class PartitionSeeds:
    """The evidence of one partition's users.

    `users` are the ids by number. `leaves` holds, by key, a frame for each kind of stamp that is kept, in the order of
    rows: `user` (the number), `time` and `hash`, sorted by user, time and hash. `gathered` has the other leaves with
    their evidence.
    """

    def __init__(
        self, users: pl.Series, leaves: dict[int, list[pl.DataFrame]], gathered: list[tuple[ColumnLeaf, Any]]
    ) -> None:
        self.users = users
        self.leaves = leaves
        self.gathered = gathered

    def encoded(self) -> Iterator[tuple[str, bytes]]:
        """The MessagePack of {leaf: evidence} by user id; it is empty for users without evidence."""
        more: dict[int, list[bytes]] = {}
        for leaf, evidence in self.gathered:
            assert leaf.gathered is not None
            key = _encode(leaf.key)
            for number, kept in leaf.gathered.kept(evidence):
                more.setdefault(number, []).append(key + _encode(kept))
        counts = np.zeros(len(self.users), np.int64)
        counts[list(more)] = [len(entries) for entries in more.values()]
        ends, buffer = encode_stamps(self.leaves, counts)
        start = 0
        for number, (user, end) in enumerate(zip(self.users.to_list(), ends.tolist(), strict=True)):
            yield user, b"".join((buffer[start:end], *more.get(number, ())))
            start = end


def seeds(conditions: Iterable[EventCondition | FactCondition], prepared: Prepared) -> Iterator[PartitionSeeds]:
    """The evidence of those atomic `conditions` that are over events, one partition at a time.

    Raises:
      NotColumnar: a condition has no columnar form.
      ValueError: the folder was prepared for other definitions.
    """
    distinct = {leaf_key(condition): condition for condition in conditions}
    prepared.check(distinct.values())

    def of(partition: Partition) -> PartitionSeeds:
        users = prepared.users(partition).select("id").collect()["id"]
        events = prepared.events(partition)
        columns = frozenset(events.collect_schema().names())
        leaves = [compile_leaf(condition, Scope(0, columns, frozenset())) for condition in distinct.values()]
        return PartitionSeeds(users, _stamps(leaves, events, columns), [*gathered(leaves, events, columns)])

    yield from prepared.each(of)


def _stamps(leaves: list[ColumnLeaf], events: pl.LazyFrame, columns: frozenset[str]) -> dict[int, list[pl.DataFrame]]:
    wanted: dict[str, dict[EventFilter, dict[KeptStamps, None]]] = {}
    for kept in (kept for leaf in leaves for kept in leaf.kept):
        wanted.setdefault(kept.events.name, {}).setdefault(kept.events, {})[kept] = None
    found: dict[KeptStamps, pl.DataFrame] = {}
    for name, filters in wanted.items():
        asked_for = sorted({column for asked in filters for column in columns_read(asked, columns)})
        named = events_named(events, name).select(asked_for).collect(engine="streaming")
        for asked, kinds in filters.items():
            rows = passing(named, asked, columns).select("user", "time", "hash")
            found |= {kept: _keep(rows, kept) for kept in kinds}
    return {leaf.key: [found[kept] for kept in leaf.kept] for leaf in leaves if leaf.kept}


def _keep(rows: pl.DataFrame, kept: KeptStamps) -> pl.DataFrame:
    """Those of the matching events that a leaf keeps."""
    user = rows["user"]
    stamps = rows.filter(user.ne_missing(user.shift(1 if kept.oldest else -kept.most)))
    return stamps if kept.tag is None else stamps.with_columns(pl.lit(kept.tag, dtype=pl.UInt64).alias("hash"))
