"""Leaves over events that need more than runs of rows: distinct values, a question for each value, sequences.

Each leaf makes its evidence from the matching events of a partition, and answers from it. The evidence is the same that
rows keep, as a frame in the same order; `user` is the number of a user in the partition.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any

import polars as pl

from transforms.segments.columns.found import GROUP, each_value
from transforms.segments.columns.windows import between, floor_of, inside, now_of
from transforms.segments.conditions import Count, Distinct, Missing, filters_of, paths_of
from transforms.segments.evidence import Evidence, Groups
from transforms.segments.leaf_sequence import MAX_EVENTS
from transforms.segments.leaf_stamps import MAX_SAME, most_stamps

__all__ = ["DistinctValues", "EachCount", "EachMissing", "Gathered", "OneAfterAnother", "newest_values"]

_TIME, _HASH = pl.col("time"), pl.col("hash")


class Gathered(ABC):
    """One leaf. `reads` are the filters of the events that it reads, `paths` those of the properties."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition
        self.reads = tuple(filters_of(condition))
        self.paths = tuple(paths_of(condition))

    @abstractmethod
    def evidence(self, events: Sequence[pl.DataFrame]) -> Any:
        """The evidence of all users, from the events of each filter."""

    @abstractmethod
    def truths(self, evidence: Any, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """`user` and `truth`; a user who is missing has the truth of an unknown user.

        `now` is the time of the question, one for all or one for each user by number. `starts` says for each user when
        the date of `since` begins.
        """

    @abstractmethod
    def kept(self, evidence: Any) -> Iterator[tuple[int, Evidence]]:
        """The evidence of each user who has some, as rows keep them."""


class DistinctValues(Gathered):
    """How many distinct values there are. The evidence is the newest values, each with its last time."""

    def evidence(self, events: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """`user`, `time` and `hash`, the hash of the value."""
        values = each_value(events[0], self.condition.of).group_by("user", GROUP).agg(_TIME.max())
        rows = values.select("user", "time", pl.col(GROUP).alias("hash")).sort("user", "time", "hash", descending=_NEW)
        return _first(rows, most_stamps(self.condition.low, self.condition.high), "user")

    def truths(self, evidence: pl.DataFrame, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """Whether enough of them, and not too many, lie in the window."""
        found = _inside(evidence, self.condition, now, starts)
        return found.group_by("user").agg(between(pl.col("inside").sum(), self.condition).alias("truth"))

    def kept(self, evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
        """Sets of stamps."""
        return ((user, tuple(found)) for user, found in _by_user(evidence, ["time", "hash"]))


class EachCount(Gathered):
    """A count for each value of `same`. The evidence is the newest events of the values with the newest events."""

    def evidence(self, events: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """`user`, `group`, `time` and `hash`."""
        rows = newest_values(each_value(events[0], self.condition.same)).select("user", GROUP, "time", "hash")
        return _first(
            rows.sort("user", GROUP, "time", "hash", descending=_NEW_IN),
            most_stamps(self.condition.low, self.condition.high),
            "user",
            GROUP,
        )

    def truths(self, evidence: pl.DataFrame, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """Whether enough events of one value, and not too many, lie in the window."""
        found = _inside(evidence, self.condition, now, starts).group_by("user", GROUP)
        return _any(found.agg(between(pl.col("inside").sum(), self.condition).alias("truth")))

    def kept(self, evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
        """Groups by value."""
        return _kept_groups(evidence)


class EachMissing(Gathered):
    """A missing event for each value of `same`. The evidence is the newest A (tag 0) and B (tag 1) of each."""

    def evidence(self, events: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """`user`, `group`, `time` and `hash`, the tag."""
        tagged = [
            each_value(some, self.condition.same).select("user", GROUP, "time", pl.lit(tag, pl.UInt64).alias("hash"))
            for tag, some in enumerate(events)
        ]
        newest = pl.concat(tagged).group_by("user", GROUP, "hash").agg(_TIME.max())
        return newest_values(newest).select("user", GROUP, "time", "hash").sort("user", GROUP, "hash")

    def truths(self, evidence: pl.DataFrame, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """Whether the newest A of some value is old enough, in the window, and unanswered."""
        answered = pl.when(_HASH == 1).then(_TIME).max()
        begun = _inside(evidence, self.condition, now, starts).group_by("user", GROUP)
        pairs = begun.agg(
            pl.when(_HASH == 0).then(_TIME).max().alias("begun"),
            answered.alias("answered"),
            pl.when(_HASH == 0).then("inside").max().alias("inside"),
        )
        overdue = pl.col("begun") <= now_of(now, pairs) - self.condition.age
        unanswered = pl.col("answered").is_null() | (pl.col("answered") < pl.col("begun"))
        truth = pl.all_horizontal("inside", overdue, unanswered).fill_null(value=False)
        return _any(pairs.with_columns(truth.alias("truth")))

    def kept(self, evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
        """Groups by value."""
        return _kept_groups(evidence)


class OneAfterAnother(Gathered):
    """A sequence. The evidence is the newest events of each step."""

    def evidence(self, events: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """`user`, `group` (the step), `time` and `hash`."""
        steps = [
            some.select("user", pl.lit(number, pl.UInt64).alias(GROUP), "time", "hash")
            for number, some in enumerate(events)
        ]
        rows = pl.concat(steps).sort("user", GROUP, "time", "hash", descending=_NEW_IN)
        return _first(rows, MAX_EVENTS, "user", GROUP)

    def truths(self, evidence: pl.DataFrame, now: int | pl.Series, _starts: pl.Series | None) -> pl.DataFrame:
        """Whether the last step was reached in the window."""
        steps, within = self.condition.steps, self.condition.within
        reached = evidence.filter(pl.col(GROUP) == 0)
        for number, step in enumerate(steps[1:], 1):
            reached = _follow(reached, evidence.filter(pl.col(GROUP) == number), step.within)
        inside = reached if within is None else reached.filter(now_of(now, reached) - within < _TIME)
        return inside.select("user").unique().with_columns(pl.lit(value=True).alias("truth"))

    def kept(self, evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
        """Groups by step."""
        return _kept_groups(evidence)


#: By user, the newest first.
_NEW = [False, True, True]
_NEW_IN = [False, False, True, True]


def newest_values(rows: pl.DataFrame) -> pl.DataFrame:
    """For each user, the rows of those values that have the newest events."""
    newest = rows.group_by("user", GROUP).agg(_TIME.max()).sort("user", "time", GROUP, descending=_NEW)
    chosen = _first(newest, MAX_SAME, "user")
    if chosen.height == newest.height:
        return rows
    return rows.join(chosen, on=["user", GROUP], how="semi", maintain_order="left")


def _follow(reached: pl.DataFrame, stamps: pl.DataFrame, within: int | None) -> pl.DataFrame:
    """The stamps that come after a reached one, less than `within` later."""
    # At one instant and hash a stamp comes before one that was reached: nothing follows itself.
    both = pl.concat([stamps.with_columns(pl.lit(0).alias("last")), reached.with_columns(pl.lit(1).alias("last"))])
    before = pl.when(pl.col("last") == 1).then(_TIME).forward_fill().over("user")
    rows = both.sort("user", "time", "hash", "last").with_columns(before.alias("before"))
    near = pl.col("before").is_not_null() if within is None else _TIME - pl.col("before") < within
    return rows.filter((pl.col("last") == 0) & near).select(stamps.columns)


def _first(rows: pl.DataFrame, most: int, *keys: str) -> pl.DataFrame:
    """The first rows of each key, at most `most`; the frame is sorted by the key."""
    other = pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift(most)) for key in keys)
    return rows.filter(other)


def _inside(
    rows: pl.DataFrame, condition: Count | Distinct | Missing, now: int | pl.Series, starts: pl.Series | None
) -> pl.DataFrame:
    """The rows with `inside`: whether their time lies in the window."""
    if isinstance(condition.since, date):
        assert starts is not None
        rows = rows.with_columns(starts.gather(rows["user"]).alias(floor_of(condition.since)))
    tests = inside(_TIME, condition, now_of(now, rows))
    return rows.with_columns((pl.all_horizontal(tests) if tests else pl.lit(value=True)).alias("inside"))


def _any(truths: pl.DataFrame) -> pl.DataFrame:
    """Whether it is true for at least one value."""
    return truths.group_by("user").agg(pl.col("truth").any())


def _by_user(rows: pl.DataFrame, columns: list[str]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Each user's rows, in their order; the frame is sorted by user."""
    for user, found in groupby(rows.select("user", *columns).iter_rows(), itemgetter(0)):
        yield user, [row[1:] for row in found]


def _kept_groups(evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
    for user, rows in _by_user(evidence, [GROUP, "time", "hash"]):
        groups: dict[int, list[tuple[int, int]]] = {}
        for group, *stamp in rows:
            groups.setdefault(group, []).append(tuple(stamp))
        yield user, Groups({group: tuple(found) for group, found in groups.items()})
