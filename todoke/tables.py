"""Columns and tables that several commands print."""

from collections.abc import Iterable

from rich import box
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from todoke.clock import Clock

__all__ = ["moments", "numbers", "weeks_table", "words"]

_BAR = 40


def numbers(title: str) -> Column:
    """A column of numbers."""
    return Column(title, justify="right", no_wrap=True)


def moments(title: str) -> Column:
    """A column of dates with times, which stand below each other where there is little room."""
    return Column(title, min_width=len("2026-07-01"), overflow="fold")


def words(title: str) -> Column:
    """A column of names and other text; a word that is wider goes on in the next line."""
    return Column(title, overflow="fold")


class _Size:
    """The bar of one week, of `#` where the output has no letters for parts of a cell."""

    def __init__(self, size: int, most: int) -> None:
        self._size = size
        self._most = most or 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.ascii_only:
            yield Text("#" * round(min(options.max_width, _BAR) * self._size / self._most))
        else:
            yield Bar(self._most, 0, self._size, width=_BAR)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(4, options.max_width), min(_BAR, options.max_width))


def weeks_table(titles: Iterable[str], rows: Iterable[tuple[int, int, tuple[str, ...]]], most: int, by: Clock) -> Table:
    """A row for each week: its end by a clock, its size as a bar, and the texts beside it.

    `most` is the size of the longest bar.
    """
    table = Table(moments(f"week to ({by.zone})"), *map(numbers, titles), "", box=box.SIMPLE_HEAD)
    for at, size, written in rows:
        table.add_row(by.write(at)[:16].replace("T", " "), *written, _Size(size, most))
    return table
