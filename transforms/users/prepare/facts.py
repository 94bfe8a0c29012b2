"""What is known of each user in the end: of each fact what its last writer said, by time, then message id."""

from typing import Any

import msgspec
import polars as pl

from transforms.segments.columns.layout import Needs
from transforms.segments.columns.values import columns_of, split
from transforms.segments.values import compile_inner
from transforms.users.prepare.spill import FACT

__all__ = ["last_written"]


def last_written(rows: pl.DataFrame, needs: Needs) -> pl.DataFrame:
    """By `user` the columns of the asked paths of each asked fact, without empty ones."""
    facts = [column for column in rows.columns if column.startswith(FACT)]
    newest = rows.sort("user", "time", "id").group_by("user", maintain_order=True)
    said = newest.agg(pl.col(fact).drop_nulls().last() for fact in facts)
    columns = [said.select("user")]
    for fact in facts:
        columns += _spread(said[fact], fact.removeprefix(FACT), needs.facts)
    return pl.concat(columns, how="horizontal")


def _spread(texts: pl.Series, fact: str, paths: dict[str, tuple[str, ...]]) -> list[pl.DataFrame]:
    """The columns of a fact's paths, from the JSON of its values: each distinct value is looked at once."""
    distinct = texts.drop_nulls().unique()
    values = [msgspec.json.decode(text) for text in distinct]
    spread = []
    for path in paths[fact]:
        found = [_found(fact, path, value) for value in values]
        kinds = columns_of(path or fact)
        rows = [split(path or fact, each) for each in found]
        table = pl.DataFrame(rows, schema=kinds, orient="row").with_columns(distinct.alias("[text]"))
        columns = texts.alias("[text]").to_frame().join(table, on="[text]", how="left", maintain_order="left")
        spread.append(columns.select(name for name in kinds if columns[name].null_count() < columns.height))
    return spread


def _found(fact: str, path: str, value: Any) -> list[Any]:
    if value is None:
        return []
    return compile_inner(fact, path)(value) if path else [value]
