"""A table of weeks with bars, as `todoke preview` prints it."""

from collections.abc import Iterable

from rich import box
from rich.bar import Bar
from rich.table import Column, Table

from todoke.clock import Clock

__all__ = ["numbers", "weeks_table"]

_BAR = 40


def numbers(title: str) -> Column:
    """A column of numbers."""
    return Column(title, justify="right", no_wrap=True)


def weeks_table(titles: Iterable[str], rows: Iterable[tuple[int, int, tuple[str, ...]]], most: int, by: Clock) -> Table:
    """A row for each week: its end by a clock, its size as a bar, and the texts beside it.

    `most` is the size of the longest bar.
    """
    table = Table(f"week to ({by.zone})", *map(numbers, titles), "", box=box.SIMPLE_HEAD)
    for at, size, written in rows:
        table.add_row(by.write(at)[:16].replace("T", " "), *written, Bar(most or 1, 0, size, width=_BAR))
    return table
