"""Pages of long lists, and the cursors that continue them.

A cursor is opaque text with the key of the last row that was read. It never expires; rows that were written meanwhile
before that place are not seen. A cursor from outside is checked before it is used.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Generic, TypeVar

import msgspec

__all__ = [
    "LOOKED_AT",
    "MOST",
    "MOST_BYTES",
    "BadCursor",
    "Page",
    "check_limit",
    "every",
    "page_of",
    "read_cursor",
    "write_cursor",
]

#: The most rows of a page.
MOST = 1_000
#: A page of large rows ends once it has so many bytes.
MOST_BYTES = 8_000_000
#: How many rows a page may read and skip: it ends there, with fewer rows than the limit.
LOOKED_AT = 10_000
#: No cursor is longer than this: ids have at most 256 bytes.
_LONGEST = 4_096

#: An integer as stores hold it.
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_Row = TypeVar("_Row")
_Place = TypeVar("_Place", bound=tuple[str | int, ...])


class BadCursor(ValueError):
    """A cursor that is not from a page of this list."""


class Page(msgspec.Struct, Generic[_Row], frozen=True):
    """Some rows of a list, and the cursor `next` that goes on after them; None where the list ends.

    A page may have fewer rows than the limit, or none, and not be the last: what a page reads is bounded, too.
    """

    rows: list[_Row]
    next: str | None = None


def check_limit(limit: int) -> int:
    """The limit, if a page may have that many rows.

    Raises:
      ValueError: it may not.
    """
    if not 1 <= limit <= MOST:
        raise ValueError(f"a page has 1 to {MOST:,} rows; found {limit}")
    return limit


def page_of(
    name: str,
    found: Iterable[tuple[_Place, _Row | None]],
    limit: int,
    weight: Callable[[_Row], int] = lambda _: 0,
) -> Page[_Row]:
    """The page that begins a list.

    Args:
      name: of the list, for its cursor.
      found: places and rows in the order of the list; None is skipped, and counts as read.
      limit: rows.
      weight: of a row in bytes, of which a page has `MOST_BYTES`, or one row.
    """
    rows: list[_Row] = []
    weighs = 0
    last: _Place | None = None
    for looked, (place, row) in enumerate(found):
        full = row is not None and (len(rows) == limit or weighs >= MOST_BYTES)
        if last is not None and (looked == LOOKED_AT or full):
            return Page(rows, write_cursor(name, last))
        last = place
        if row is not None:
            rows.append(row)
            weighs += weight(row)
    return Page(rows)


def every(ask: Callable[[str | None], Page[_Row]]) -> Iterator[_Row]:
    """The rows of all pages of a list; `ask` gives the page at a cursor."""
    cursor: str | None = None
    while True:
        page = ask(cursor)
        yield from page.rows
        if (cursor := page.next) is None:
            return


def write_cursor(name: str, place: tuple[str | int, ...]) -> str:
    """The cursor of a list after this place."""
    return urlsafe_b64encode(msgspec.json.encode((name, *place))).rstrip(b"=").decode()


def read_cursor(name: str, cursor: str, *kinds: type[str] | type[int]) -> Any:
    """The place of a cursor, a tuple.

    Args:
      name: of the list.
      cursor: as `write_cursor` wrote it.
      kinds: the types of the parts of a place in this list.

    Raises:
      BadCursor: it is of another list, or none at all.
    """
    try:
        if len(cursor) > _LONGEST:
            raise BadCursor("too long")
        said = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        found = msgspec.json.decode(said, type=list[str | _Whole])
        if [name, *kinds] != [*found[:1], *map(type, found[1:])]:
            raise BadCursor("of another list")
        return tuple(found[1:])
    except (ValueError, RecursionError) as error:
        raise BadCursor(f"this is no cursor of {name.replace('_', ' ')}: {cursor:.80}") from error
