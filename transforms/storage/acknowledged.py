"""What a store has acknowledged of an embedded queue: the ids of messages whose effects it holds."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["Acknowledged", "Ids", "Range"]

#: Ids that follow one another: the first and the last.
Range = tuple[int, int]


class Ids:
    """A set of ids, kept as ranges: what is acknowledged has few gaps, however much it is."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._last_by_first: dict[int, int] = {}
        self._first_by_last: dict[int, int] = {}
        self._count = 0
        at: Range | None = None
        for first, last in sorted(ranges):
            if at is not None and first <= at[1] + 1:
                at = at[0], max(at[1], last)
                continue
            self._keep(at)
            at = first, last
        self._keep(at)

    def __len__(self) -> int:
        return self._count

    def add(self, id_: int) -> None:
        """Add an id that is not among them."""
        first = last = id_
        if id_ - 1 in self._first_by_last:
            first = self._first_by_last.pop(id_ - 1)
            del self._last_by_first[first]
        if id_ + 1 in self._last_by_first:
            last = self._last_by_first.pop(id_ + 1)
            del self._first_by_last[last]
        self._last_by_first[first], self._first_by_last[last] = last, first
        self._count += 1

    def ranges(self) -> list[Range]:
        """The ids in order, as ranges with gaps between them."""
        return sorted(self._last_by_first.items())

    @property
    def before(self) -> int:
        """The least id that is not among them, from 1 on."""
        return self._last_by_first.get(1, 0) + 1

    def missing(self, ids: range) -> list[int]:
        """Those of a range that are not among them."""
        ranges = self.ranges()
        place = max(0, bisect_right(ranges, (ids.start, 2**63)) - 1)
        found: list[int] = []
        at = ids.start
        for first, last in ranges[place:]:
            if first >= ids.stop:
                break
            found += range(at, first)
            at = max(at, last + 1)
        return [*found, *range(at, ids.stop)]

    def _keep(self, at: Range | None) -> None:
        if at is not None:
            first, last = at
            self._last_by_first[first], self._first_by_last[last] = last, first
            self._count += last - first + 1


class Acknowledged(Protocol):
    """A store that can acknowledge in the transaction of what messages caused. SQLite can."""

    def acknowledge(self, queue: str, ids: Sequence[int]) -> None:
        """Note that messages of a queue are done with, in the transaction that is open or one of its own.

        Once it was called for any queue, whatever writes to the file from then on is on the disk when it returns.
        """

    def read_acknowledged(self, queue: str) -> Ids:
        """All that was noted of a queue."""
