"""The time zones of users, and what depends on them, as columns."""

from collections.abc import Collection, Iterable
from datetime import date

import polars as pl

from transforms.identity.zones import known_zone
from transforms.segments.columns.layout import ZONE_FACTS
from transforms.segments.columns.leaves import ZONE
from transforms.segments.columns.values import by_value
from transforms.segments.columns.windows import floor_of
from transforms.segments.values import start_of_day

__all__ = ["with_floors", "with_zones"]


def with_zones(users: pl.LazyFrame, present: Collection[str], default_zone: str) -> pl.LazyFrame:
    """The users with their time zones; unknown names are passed over."""
    zone = pl.lit(default_zone)
    for column in (f"{fact}#text" for fact in reversed(ZONE_FACTS)):
        if column in present:
            zone = pl.when(by_value(column, known_zone)).then(pl.col(column)).otherwise(zone)
    return users.with_columns(zone.alias(ZONE))


def with_floors(users: pl.LazyFrame, since: Iterable[date]) -> pl.LazyFrame:
    """The users with the start of each of the dates in their zones (microseconds UTC)."""
    return users.with_columns(**{floor_of(day): _starts(day) for day in sorted(since)})


def _starts(day: date) -> pl.Expr:
    def starts(zones: pl.Series) -> pl.Series:
        named = zones.unique().to_list()
        return zones.replace_strict(named, [start_of_day(day, zone) for zone in named], return_dtype=pl.Int64)

    return pl.col(ZONE).map_batches(starts, return_dtype=pl.Int64, is_elementwise=True)
