"""The window of a condition, as expressions."""

from datetime import date

import polars as pl

from transforms.segments.conditions import Count, Distinct, Missing

__all__ = ["NOW", "Now", "between", "floor_of", "inside", "now_of"]

#: The column with the time of the question where each user has one.
NOW = "[now]"
#: The time of the question, microseconds UTC: of all users, or `NOW`.
Now = int | pl.Expr


def now_of(now: int | pl.Series, rows: pl.DataFrame) -> int | pl.Series:
    """The time of the question for each row with a `user`; `now` is one for all, or one for each user by number."""
    return now if isinstance(now, int) else now.gather(rows["user"])


def floor_of(since: date) -> str:
    """The column with the start of a date in each user's zone."""
    return f"[since {since.isoformat()}]"


def inside(time: pl.Expr, condition: Count | Distinct | Missing, now: Now | pl.Series) -> list[pl.Expr]:
    """The tests that tell whether a time lies in the window; a series has the time of the question for each row."""
    if condition.within is not None:
        return [time > now - condition.within]
    if isinstance(condition.since, date):
        return [time >= pl.col(floor_of(condition.since))]
    return [] if condition.since is None else [time >= condition.since]


def between(count: pl.Expr, condition: Count | Distinct) -> pl.Expr:
    """Whether a count is in the range that is asked for."""
    low, high = condition.low, condition.high
    return count >= low if high is None else count.is_between(low, high)
