"""The events of a partition that leaves read. Each name is read once, however many leaves ask for it."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import polars as pl

from transforms.segments.columns.layout import events_named
from transforms.segments.columns.leaves import ColumnLeaf, matching
from transforms.segments.columns.values import columns_of
from transforms.segments.conditions import EventFilter

__all__ = ["columns_read", "gathered", "passing"]


def columns_read(asked: EventFilter, columns: Collection[str]) -> set[str]:
    """The columns that a filter reads, and those of a stamp."""
    tested = {column for test in matching(asked, columns) for column in test.meta.root_names()}
    return {"user", "time", "hash"} | tested


def passing(events: pl.DataFrame, asked: EventFilter, columns: Collection[str]) -> pl.DataFrame:
    """The events, of the filter's name, that pass it."""
    tests = matching(asked, columns)
    return events.filter(pl.all_horizontal(tests)) if tests else events


def gathered(
    leaves: Iterable[ColumnLeaf], events: pl.LazyFrame, columns: Collection[str]
) -> Iterator[tuple[ColumnLeaf, Any]]:
    """Each leaf that gathers events, with its evidence; `columns` are those of the events."""
    asking = [leaf for leaf in leaves if leaf.gathered is not None]
    wanted: dict[str, set[str]] = {}
    for leaf in asking:
        assert leaf.gathered is not None
        paths = {column for path in leaf.gathered.paths for column in columns_of(path) if column in columns}
        for asked in leaf.gathered.reads:
            wanted.setdefault(asked.name, set()).update(paths, columns_read(asked, columns))
    named: dict[str, pl.DataFrame] = {}

    def read(asked: EventFilter) -> pl.DataFrame:
        if asked.name not in named:
            some = events_named(events, asked.name).select(sorted(wanted[asked.name]))
            named[asked.name] = some.collect(engine="streaming")
        return passing(named[asked.name], asked, columns)

    for leaf in asking:
        assert leaf.gathered is not None
        yield leaf, leaf.gathered.evidence([read(asked) for asked in leaf.gathered.reads])
