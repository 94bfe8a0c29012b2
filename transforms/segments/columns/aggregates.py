"""Counts, first and last times of each user's events of one name, without a group-by.

The events are sorted by (user, time), and users are numbered. So a user's events are a run of rows: a count is the
length of a run, the first and the last event are its ends, and each answer goes to the user's place.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import polars as pl

__all__ = ["Aggregate", "aggregated", "placed"]


class Aggregate(msgspec.Struct, frozen=True):
    """How many events satisfy all tests, or the time of the first or the last that does."""

    how: Literal["count", "first", "last"]
    tests: tuple[pl.Expr, ...] = ()


def aggregated(events: pl.LazyFrame, asked: Mapping[str, Aggregate], users: int) -> list[pl.Series]:
    """The aggregates of one name's events, one value for each user; null (for a count: 0) where no event matches."""
    tests = {name: pl.all_horizontal(one.tests) for name, one in asked.items() if one.tests}
    times = ["time"] if any(one.how != "count" for one in asked.values()) else []
    rows = events.select("user", *times, **tests).collect(engine="streaming")
    return [_of_runs(rows, name, one, users) for name, one in asked.items()]


def _of_runs(rows: pl.DataFrame, name: str, asked: Aggregate, users: int) -> pl.Series:
    if asked.how == "count":
        user = rows["user"].filter(rows[name]) if asked.tests else rows["user"]
        runs = user.rle().struct.unnest()
        return placed(users, pl.UInt32, 0, runs["value"], runs["len"]).alias(name)
    some = rows.filter(rows[name]) if asked.tests else rows
    user = some["user"]
    edge = some.filter(user.ne_missing(user.shift(1 if asked.how == "first" else -1)))
    return placed(users, pl.Int64, None, edge["user"], edge["time"]).alias(name)


def placed(users: int, dtype: Any, otherwise: Any, at: pl.Series, values: pl.Series) -> pl.Series:
    """One value for each user: these, by the users' numbers, and `otherwise` for everybody else."""
    return pl.repeat(otherwise, users, dtype=dtype, eager=True).scatter(at, values.cast(dtype))
