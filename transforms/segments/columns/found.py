"""The values at a path of each event, as rows: the distinct values by hash, or the numbers.

A number that a double cannot hold exactly is kept as text. Python looks at each distinct value once.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl

from transforms.segments.columns.values import columns_of
from transforms.segments.evidence import value_hashes
from transforms.segments.values import is_number

__all__ = ["GROUP", "TEXT", "each_number", "each_text", "each_value"]

#: The column with the hash of a value.
GROUP = "group"
#: The column with a text that was made of values.
TEXT = "text"

_decode = msgspec.json.Decoder().decode


def each_value(events: pl.DataFrame, path: str) -> pl.DataFrame:
    """A row for each event and distinct value at a path, with the value's hash as `GROUP`; the order is lost."""
    return _spread(events, path, {GROUP: pl.UInt64}, lambda values: [(each,) for each in value_hashes(values)])


def each_number(events: pl.DataFrame, path: str) -> pl.DataFrame:
    """A row for each event and number at a path: a double in `number`, else decimals in `exactly`.

    The order is lost.
    """
    column = f"{path}#number"
    parts = [_spread(events, path, {"number": pl.Float64, "exactly": pl.String}, _numbers, without=column)]
    if column in events.columns:
        plain = events.filter(pl.col(column).is_not_null())
        parts.append(plain.with_columns(pl.col(column).alias("number"), pl.lit(None, pl.String).alias("exactly")))
    return pl.concat(parts, how="diagonal")


def each_text(events: pl.DataFrame, path: str, texts: Callable[[list[Any]], list[str]]) -> pl.DataFrame:
    """A row for each event and text that `texts` makes of the values at a path, as `TEXT`; the order is lost."""
    return _spread(events, path, {TEXT: pl.String}, lambda values: [(each,) for each in texts(values)])


def _numbers(values: list[Any]) -> list[tuple[float | None, str | None]]:
    found = [value for value in values if is_number(value)]
    return [(float(value), None) if _is_held(value) else (None, str(value)) for value in found]


def _is_held(value: Any) -> bool:
    """Whether a double holds a number exactly."""
    return isinstance(value, float) or abs(value) <= 2**53


def _spread(
    events: pl.DataFrame,
    path: str,
    schema: dict[str, Any],
    find: Callable[[list[Any]], list[Any]],
    without: str | None = None,
) -> pl.DataFrame:
    """A row for each event and item that `find` makes of the values at a path, with the items in new columns."""
    parts = [events.clear().with_columns(pl.lit(None, dtype).alias(name) for name, dtype in schema.items())]
    for column in columns_of(path):
        if column not in events.columns or column == without:
            continue
        distinct = events[column].drop_nulls().unique()
        things = [(value, thing) for value in distinct.to_list() for thing in find(_values(column, value))]
        table = pl.DataFrame(
            [(value, *thing) for value, thing in things], schema={column: distinct.dtype, **schema}, orient="row"
        )
        parts.append(events.join(table, on=column, how="inner").select(parts[0].columns))
    return pl.concat(parts)


def _values(column: str, held: Any) -> list[Any]:
    """The list of values that one cell holds."""
    kind = column.rpartition("#")[2]
    if kind == "many":
        values: list[Any] = _decode(held)
        return values
    return [_decode(held) if kind == "other" else held]
