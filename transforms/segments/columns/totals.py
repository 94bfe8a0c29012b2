"""Leaves that add up, as columns: sums, averages, extremes and counts beyond a thousand, by buckets of time.

Whole numbers are added in 128 bits, which no partition fills. Python adds what neither a double nor 64 bits of
millionths can hold, and makes all comparisons, so that the answer is exact.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from transforms.segments.columns.found import GROUP, each_number, each_value
from transforms.segments.columns.gathered import Gathered, newest_values
from transforms.segments.columns.windows import now_of
from transforms.segments.conditions import Total
from transforms.segments.evidence import Evidence, Extremes, SourceSum, SourceSums, exact
from transforms.segments.leaf_totals import MICRO, QUARTER, Buckets, compile_comparison, micros, written_amount
from transforms.segments.operators import compile_test

__all__ = ["Added", "Extreme", "gather_total"]

#: Doubles up to here have millionths of 64 bits.
_LARGEST = 9e12
_TIME, _BUCKET, _NUMBER = pl.col("time"), pl.col("bucket"), pl.col("number")


class _Sums(NamedTuple):
    """`tallies`: `user`, `group`, `version`, `newest`; `cells`: `user`, `group`, `bucket` and amounts."""

    tallies: pl.DataFrame
    cells: pl.DataFrame


def gather_total(condition: Total) -> "Added | Extreme":
    """The leaf of a total."""
    return Extreme(condition) if condition.aggregate in ("minimum", "maximum") else Added(condition)


class Added(Gathered):
    """A sum, an average, or a count without a limit; with `same`, one for each value."""

    def __init__(self, condition: Total) -> None:
        super().__init__(condition)
        self.buckets = Buckets(condition.within, condition.since)

    def evidence(self, events: Sequence[pl.DataFrame]) -> _Sums:
        """The amount of each bucket, and the number of events of each value, for the values with the newest events."""
        rows = events[0].with_row_index("event").with_columns(_bucket(self.buckets).alias("bucket"))
        same = self.condition.same
        if same is not None:
            rows = newest_values(each_value(rows, same))
        summands = self._summands(rows).drop_nulls("bucket")
        counted = rows if same is not None else summands
        keys = ["user"] if same is None else ["user", GROUP]
        tallies = counted.group_by(keys).agg(pl.col("event").n_unique().alias("version"), _TIME.max().alias("newest"))
        cells = summands.group_by(*keys, "bucket").agg(_amounts())
        if same is None:
            nothing = pl.lit(0, pl.UInt64).alias(GROUP)
            tallies, cells = tallies.with_columns(nothing), cells.with_columns(nothing)
        return _Sums(tallies.sort("user", GROUP), cells)

    def _summands(self, rows: pl.DataFrame) -> pl.DataFrame:
        """A row for each event and number that it adds; a count adds zeros."""
        if self.condition.aggregate == "count":
            return rows.with_columns(number=pl.lit(0.0), exactly=pl.lit(None, pl.String))
        return each_number(rows, self.condition.of)

    def truths(self, evidence: _Sums, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """Whether the sum of the buckets that count is as asked, for at least one value."""
        inside = _counting(evidence.cells, self.buckets, now, starts)
        sums = inside.group_by("user", GROUP).agg(_again())
        rows = evidence.tallies.select("user", GROUP).join(sums, on=["user", GROUP], how="left")
        test = compile_comparison(self.condition)
        truths = [
            test(_amount(*amount), many or 0)
            for many, *amount in rows.select("many", "micros", "large", "exactly").iter_rows()
        ]
        answers = rows.select("user").with_columns(pl.Series("truth", truths, dtype=pl.Boolean))
        return answers.group_by("user").agg(pl.col("truth").any())

    def kept(self, evidence: _Sums) -> Iterator[tuple[int, Evidence]]:
        """Tallies of live events, without what can never count again after the newest event."""
        tallies = evidence.tallies
        cells = evidence.cells
        if self.condition.within is not None:
            newest = tallies.group_by("user").agg(pl.col("newest").max())
            width = self.buckets.width
            floor = (pl.col("newest") // width * width - self.condition.within) // width
            cells = cells.join(newest, on="user").filter(floor <= _BUCKET)
        buckets: dict[tuple[int, int], dict[int, Any]] = defaultdict(dict)
        columns = ("user", GROUP, "bucket", "many", "micros", "large", "exactly")
        for user, group, bucket, many, *amount in cells.select(columns).sort("bucket").iter_rows():
            buckets[user, group][bucket] = many, written_amount(_amount(*amount))
        found: dict[int, list[SourceSum]] = defaultdict(list)
        for user, group, version, newest_ in tallies.select("user", GROUP, "version", "newest").iter_rows():
            found[user].append(SourceSum(0, 0, group, version, newest_, buckets.get((user, group), {})))
        return ((user, SourceSums(tuple(each))) for user, each in found.items())


class Extreme(Gathered):
    """The least or the greatest number."""

    def __init__(self, condition: Total) -> None:
        super().__init__(condition)
        self.buckets = Buckets(condition.within, condition.since)
        self.least = condition.aggregate == "minimum"

    def evidence(self, events: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """`user`, `bucket`, `number` (the best double), and `exactly` (all numbers that no double holds)."""
        rows = each_number(events[0], self.condition.of).with_columns(_bucket(self.buckets).alias("bucket"))
        return rows.drop_nulls("bucket").group_by("user", "bucket").agg(self._best(), pl.col("exactly").drop_nulls())

    def _best(self) -> pl.Expr:
        return _NUMBER.min() if self.least else _NUMBER.max()

    def truths(self, evidence: pl.DataFrame, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
        """Whether the best of the buckets that count is as asked."""
        inside = _counting(evidence, self.buckets, now, starts)
        best = inside.group_by("user").agg(self._best(), pl.col("exactly").explode().drop_nulls())
        test = compile_test(self.condition.operator)
        truths = [test([self._exact(*each)]) for each in best.select("number", "exactly").iter_rows()]
        return best.select("user").with_columns(pl.Series("truth", truths, dtype=pl.Boolean))

    def kept(self, evidence: pl.DataFrame) -> Iterator[tuple[int, Evidence]]:
        """Extremes, without what can never count again after the newest bucket."""
        found: dict[int, dict[int, Any]] = defaultdict(dict)
        for user, bucket, *each in (
            evidence.select("user", "bucket", "number", "exactly").sort("user", "bucket").iter_rows()
        ):
            found[user][bucket] = self._exact(*each)
        for user, cells in found.items():
            newest, oldest = max(cells), min(cells)
            floor = oldest if self.condition.within is None else self.buckets.oldest(newest * self.buckets.width)
            yield user, Extremes({bucket: value for bucket, value in cells.items() if bucket >= floor})

    def _exact(self, number: float | None, exactly: list[str]) -> int | float:
        values = ([] if number is None else [exact(number)]) + [int(each) for each in exactly]
        best: int | float = min(values) if self.least else max(values)
        return best


def _bucket(buckets: Buckets) -> pl.Expr:
    """The bucket of an event, null if it can never count (the rule is `Buckets.of`)."""
    if buckets.within is not None:
        return _TIME // buckets.width
    if isinstance(buckets.since, date):
        bucket = _TIME // buckets.width
        return pl.when(bucket >= buckets.first).then(bucket.clip(upper_bound=buckets.last))
    only = pl.lit(0, pl.Int64)
    return only if buckets.since is None else pl.when(buckets.since <= _TIME).then(only)


def _counting(cells: pl.DataFrame, buckets: Buckets, now: int | pl.Series, starts: pl.Series | None) -> pl.DataFrame:
    """The buckets that count."""
    if isinstance(buckets.since, date):
        assert starts is not None
        floors = (starts + (QUARTER - 1)) // QUARTER
        return cells.filter(cells["bucket"] >= floors.gather(cells["user"]))
    moment = now_of(now, cells)
    if buckets.within is None or isinstance(moment, int):
        return cells.filter(buckets.floor(moment if isinstance(moment, int) else 0, "") <= _BUCKET)
    return cells.filter((moment - buckets.within) // buckets.width <= _BUCKET)


def _amounts() -> list[pl.Expr]:
    """How many summands, and their amount in three parts: millionths, large doubles, and whole numbers as text."""
    whole = _NUMBER.floor() == _NUMBER
    small = _NUMBER.abs() <= _LARGEST
    held = _NUMBER.clip(-_LARGEST, _LARGEST)
    amount = pl.when(whole).then(held.cast(pl.Int64) * MICRO).otherwise((held * MICRO).round().cast(pl.Int64))
    return [
        pl.len().alias("many"),
        pl.when(small).then(amount).cast(pl.Int128).sum().alias("micros"),
        _NUMBER.filter(~small).alias("large"),
        pl.col("exactly").drop_nulls(),
    ]


def _again() -> list[pl.Expr]:
    """The amounts of several buckets, added."""
    return [
        pl.col("many").sum(),
        pl.col("micros").sum(),
        pl.col("large").explode().drop_nulls(),
        pl.col("exactly").explode().drop_nulls(),
    ]


def _amount(micro: int | None, large: list[float] | None, exactly: list[str] | None) -> int:
    return (micro or 0) + sum(map(micros, large or ())) + sum(int(each) * MICRO for each in exactly or ())
