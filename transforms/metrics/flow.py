"""How segments fill and empty: entries, exits and size by window, from what was counted and who is a member."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from transforms.metrics.counts import Counts, WindowCount, counts_in
from transforms.storage.series import series_start
from transforms.users.members import MemberIndex, standing_members
from transforms.users.user import ANONYMOUS

__all__ = ["Flow", "FlowSource", "flow_of", "flows", "is_counted", "segments_counted"]

#: How many entered and left, by window.
_Windows = dict[int, tuple[int, int]]
#: How often a store is read anew that changes meanwhile.
_TRIES = 5
#: So many counts of each kind are read for the names of segments; a live job counts each minute.
_LOOKED_AT = 5_000


class Flow(msgspec.Struct, frozen=True):
    """What happened to one segment in the window that starts at `window` (microseconds UTC), and its size at its end.

    Counts are of users with a user id, whatever the cause.
    """

    window: int
    entered: int
    left: int
    size: int


def flows(segment: str, counts: Iterable[WindowCount], members: int) -> list[Flow]:
    """The flow of a segment by window, oldest first.

    Sizes are counted back from the `members` that there are now: what was never counted (runs over files, a process
    that died before it counted) can make an old size wrong, and never the last one. None of them is kept, so that what
    comes late corrects all sizes before it.
    """
    return _counted_back(_by_window(segment, counts), members)


def _by_window(segment: str, counts: Iterable[WindowCount]) -> _Windows:
    found: _Windows = {}
    for count in counts:
        if count.name in ("entered", "left") and count.labels["segment"] == segment:
            entered, left = found.get(count.window, (0, 0))
            if count.name == "entered":
                found[count.window] = entered + count.count, left
            else:
                found[count.window] = entered, left + count.count
    return found


def _counted_back(windows: _Windows, members: int) -> list[Flow]:
    flow, size = [], members
    for window, (entered, left) in sorted(windows.items(), reverse=True):
        flow.append(Flow(window, entered, left, size))
        size += left - entered
    return flow[::-1]


class FlowSource(Counts, MemberIndex, Protocol):
    """The part of a store that says how segments flow."""


def flow_of(store: FlowSource, segment: str) -> list[Flow]:
    """The flow of a segment by window, and its sizes up to now.

    Who came or went while members were read would be in one of both and not in the other: then both are read again. Of
    a segment in which that never ends the last reading stands.

    Raises:
      StoreError: the store cannot be read.
    """
    windows = _by_window(segment, _counts(store, segment))
    for _ in range(_TRIES):
        before = windows
        members = sum(not row.user.startswith(ANONYMOUS) for row in standing_members(store, segment))
        windows = _by_window(segment, _counts(store, segment))
        if windows == before:
            break
    return _counted_back(windows, members)


def is_counted(store: Counts, segment: str) -> bool:
    """Whether live jobs have counted somebody as coming to or leaving a segment.

    Raises:
      StoreError: the store cannot be read.
    """
    return any(True for _ in _counts(store, segment))


def segments_counted(store: Counts) -> set[str]:
    """Segments in which live jobs have counted somebody as coming or going: those of the first `_LOOKED_AT` counts.

    Raises:
      StoreError: the store cannot be read.
    """
    prefixes = [f"{name}{mark}" for name in ("entered", "left") for mark in ("{", "/")]
    counts = (count for prefix in prefixes for count in islice(counts_in(store, prefix), _LOOKED_AT))
    return {count.labels["segment"] for count in counts}


def _counts(store: Counts, segment: str) -> Iterator[WindowCount]:
    for name in ("entered", "left"):
        for prefix in (series_start(name, "segment", segment), f"{name}/{segment}/"):
            yield from counts_in(store, prefix)
