"""The marks of leaves as columns: what rows keep of each user's events, so that a job can go on from there.

Events lie sorted by (name, user, time, mark). Of the matching ones, the newest n of each user are therefore those whose
n-th successor is somebody else's: no group-by is needed, and leaves that ask for the same events share the filter.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from transforms.segments.columns.encode import encode_marks
from transforms.segments.columns.layout import Partition, Prepared
from transforms.segments.columns.leaves import Kept, Scope, compile_leaf, matching
from transforms.segments.conditions import Condition, EventFilter
from transforms.segments.leaves import leaf_key

__all__ = ["Seeds", "seeds"]


class Seeds:
    """The marks of one partition's users.

    `users` are the ids by number. `marks` has a row for each mark: `user` (the number), `leaf` (the key), `time`, `mark`,
    sorted by user and leaf, and within a leaf as rows keep them.
    """

    def __init__(self, users: pl.Series, marks: pl.DataFrame) -> None:
        self.users = users
        self.marks = marks

    def encoded(self) -> Iterator[tuple[str, bytes]]:
        """By user id the MessagePack of {leaf: ((time, mark), …)}; users without a mark have an empty one."""
        ends, buffer = encode_marks(self.marks, len(self.users))
        start = 0
        for user, end in zip(self.users.to_list(), ends.tolist(), strict=True):
            yield user, buffer[start:end]
            start = end


def seeds(conditions: Iterable[Condition], prepared: Prepared) -> Iterator[Seeds]:
    """The marks of the leaves over events among atomic `conditions`, a partition at a time.

    Raises:
      NotColumnar: a condition has no columnar form.
      ValueError: the folder was prepared for other definitions.
    """
    distinct = {leaf_key(condition): condition for condition in conditions}
    prepared.check(distinct.values())
    for partition in prepared.partitions:
        users = prepared.users(partition).select("id").collect()["id"]
        yield Seeds(users, _marks(distinct, prepared, partition))


def _marks(conditions: dict[int, Condition], prepared: Prepared, partition: Partition) -> pl.DataFrame:
    events = prepared.events(partition)
    columns = frozenset(events.collect_schema().names())
    leaves = [compile_leaf(condition, Scope(0, columns, ())) for condition in conditions.values()]
    keys = sorted(leaf.key for leaf in leaves if leaf.kept)
    wanted: dict[str, dict[EventFilter, list[tuple[int, Kept]]]] = {}
    for leaf in leaves:
        for kept in leaf.kept:
            same_name = wanted.setdefault(kept.events.name, {})
            same_name.setdefault(kept.events, []).append((keys.index(leaf.key), kept))
    found = [pl.DataFrame(schema=_PLACED)]
    for name, filters in wanted.items():
        named = events.filter(pl.col("name") == name).drop("name").collect(engine="streaming")
        for asked, ones in filters.items():
            tests = matching(asked, columns)
            rows = (named.filter(pl.all_horizontal(tests)) if tests else named).select("user", "time", "mark")
            found += [_keep(rows, kept, number, len(keys)) for number, kept in ones]
    # A stable sort by one number; within a leaf the rows stand newest first already.
    marks = pl.concat(found).sort("place", maintain_order=True)
    leaf = pl.Series("leaf", keys, dtype=pl.UInt64)
    owner = marks["place"] // 2
    return pl.DataFrame(
        {
            "user": (owner // max(1, len(keys))).cast(pl.UInt32),
            "leaf": leaf.gather(owner % max(1, len(keys))),
            "time": marks["time"],
            "mark": marks["mark"],
        }
    )


_PLACED: dict[str, Any] = {"place": pl.UInt64, "time": pl.Int64, "mark": pl.UInt64}


def _keep(rows: pl.DataFrame, kept: Kept, leaf: int, leaves: int) -> pl.DataFrame:
    """The rows of matching events that a leaf keeps, newest first, with the place of their user and leaf."""
    user = rows["user"]
    last = user.ne_missing(user.shift(1 if kept.oldest else -kept.most))
    tag = kept.tag or 0
    return rows.filter(last).reverse().select(
        ((pl.col("user").cast(pl.UInt64) * leaves + leaf) * 2 + tag).alias("place"),
        "time",
        pl.col("mark") if kept.tag is None else pl.lit(tag, dtype=pl.UInt64).alias("mark"),
    )
