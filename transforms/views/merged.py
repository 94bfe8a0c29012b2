"""Several lists by time as one: a user's past stands under each id that the user had."""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from typing import Protocol, TypeVar

from transforms.storage.pages import BadCursor, Page, check_limit, read_cursor, write_cursor
from transforms.storage.reader import EARLIEST, TimeKey

__all__ = ["PagedList", "merged"]

_Row = TypeVar("_Row")


class PagedList(Protocol[_Row]):
    """A list by time, newest first, of which pages are read: see `Reader.page_events`."""

    def __call__(self, limit: int, cursor: str | None = None, *, until: int | None = None) -> Page[_Row]:
        """A page of it, of rows that are not after `until`."""


def merged(
    name: str,
    sources: Mapping[str, tuple[str, PagedList[_Row], Callable[[_Row], TimeKey]]],
    limit: int,
    cursor: str | None,
) -> Page[_Row]:
    """A page of several lists as one, newest first; of one time in the order of the sources.

    Args:
      name: of the list that they make.
      sources: by their names: the name of the list, how its pages are read, and what names a row in it.
      limit: rows, 1 to `MOST`.
      cursor: the `next` of the page before.

    Raises:
      ValueError: the limit cannot be.
      BadCursor: the cursor is none of this list, or of a source that there is no longer.
    """
    check_limit(limit)
    last = None if cursor is None else read_cursor(name, cursor, str, int, str)
    order = list(sources)
    if last is not None and last[0] not in sources:
        raise BadCursor(f"this cursor goes on with {last[0]:.80}, which is gone")

    def read(source: str) -> Iterator[tuple[int, int, str, _Row]]:
        listed, page_of, key = sources[source]
        start, until = None, None
        if last is not None:
            _, time, id_ = last
            ahead = order.index(source) - order.index(last[0])
            start = write_cursor(listed, (time, id_)) if ahead == 0 else None
            if ahead < 0 and time == EARLIEST:
                return
            until = None if ahead == 0 else time if ahead > 0 else time - 1
        while True:
            page = page_of(limit, start, until=until)
            for row in page.rows:
                time, id_ = key(row)
                yield -time, order.index(source), id_, row
            if page.next is None:
                return
            start, until = page.next, None

    rows: list[_Row] = []
    place: tuple[str, int, str] | None = None
    for negative, number, id_, row in merge(*map(read, order), key=lambda found: found[:2]):
        if place is not None and len(rows) == limit:
            return Page(rows, write_cursor(name, place))
        rows.append(row)
        place = order[number], -negative, id_
    return Page(rows)
