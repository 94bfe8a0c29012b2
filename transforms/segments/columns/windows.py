"""The window of a condition, as expressions."""

from datetime import date

import polars as pl

from transforms.segments.conditions import Count, Distinct, Missing

__all__ = ["between", "floor_of", "inside"]


def floor_of(since: date) -> str:
    """The column with the start of a date in each user's zone."""
    return f"[since {since.isoformat()}]"


def inside(time: pl.Expr, condition: Count | Distinct | Missing, now: int) -> list[pl.Expr]:
    """The tests that tell whether a time lies in the window."""
    if condition.within is not None:
        return [time > now - condition.within]
    if isinstance(condition.since, date):
        return [time >= pl.col(floor_of(condition.since))]
    return [] if condition.since is None else [time >= condition.since]


def between(count: pl.Expr, condition: Count | Distinct) -> pl.Expr:
    """Whether a count is in the range that is asked for."""
    low, high = condition.low, condition.high
    return count >= low if high is None else count.is_between(low, high)
