"""The leaf states of one user: kept encoded one by one, so that an event opens and writes those only that it touches.

A user with hundreds of leaves has tens of kilobytes of state, of which an event concerns a handful. So a user carries
its leaf states as one run of bytes with their places (`PackedLeaves`), and who works on them reads what is asked and
packs what changed between what did not. Times are microseconds UTC.
"""

import heapq
from bisect import bisect_left
from collections.abc import Container, Iterator, Mapping
from itertools import accumulate
from types import MappingProxyType

import msgspec

from transforms.segments.leaves import Leaf, LeafState

__all__ = ["LeafStates", "PackedLeaves", "earliest"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LeafState).decode


class PackedLeaves(msgspec.Struct, frozen=True, array_like=True, gc=False, eq=False):
    """Leaf states by key, encoded one after the other in `body` in the order of `keys`, which are sorted.

    `sizes` are their lengths in bytes and `deadlines` theirs, the earliest of which is `first`. Nothing is ever changed
    in place.
    """

    keys: list[int] = []
    sizes: list[int] = []
    deadlines: list[int | None] = []
    first: int | None = None
    body: bytes = b""

    def __eq__(self, other: object) -> bool:
        """Whether these are the same states; a mapping in one may be written in another order."""
        return isinstance(other, PackedLeaves) and [*LeafStates(self).items()] == [*LeafStates(other).items()]

    __hash__ = None  # type: ignore[assignment]


#: Leaf states as a user holds them. A mapping is how they were written before they were packed.
Kept = PackedLeaves | dict[int, LeafState]


def earliest(kept: Kept) -> int | None:
    """The first time at which the truth of one of these leaves may change without an event."""
    if isinstance(kept, PackedLeaves):
        return kept.first
    return min((state.deadline for state in kept.values() if state.deadline is not None), default=None)


class _Opened(dict[int, LeafState]):
    """States by key, read when they are first asked for."""

    def __init__(self, packed: PackedLeaves, leaves: Mapping[int, Leaf]) -> None:
        self.packed = packed
        self.leaves = leaves
        #: Where each state that was read stands among the packed ones.
        self.places: dict[int, int] = {}
        #: Keys of which what is packed does not count any more.
        self.dropped: set[int] = set()
        #: Where each packed state begins, and the end of the last one.
        self.starts = list(accumulate(packed.sizes, initial=0))

    def __missing__(self, key: int) -> LeafState:
        keys = self.packed.keys
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key and key not in self.dropped:
            state = _decode(self.packed.body[self.starts[place] : self.starts[place + 1]])
            self.places[key] = place
        else:
            state = self.leaves[key].unseen
        self[key] = state
        return state

    def drop(self, key: int) -> None:
        """Forget a state for good."""
        del self[key]
        self.places.pop(key, None)
        self.dropped.add(key)


class LeafStates:
    """Leaf states being changed.

    `opened` is where conditions look leaves up: each is decoded when it is first asked for, and a leaf of which nothing
    is kept says what it says of somebody unknown.

    Args:
      kept: the states.
      leaves: what may be looked up beside these, by key.
    """

    def __init__(self, kept: Kept, leaves: Mapping[int, Leaf] = MappingProxyType({})) -> None:
        self._packed = packed = kept if isinstance(kept, PackedLeaves) else PackedLeaves()
        self.opened = _Opened(packed, leaves)
        self._put: set[int] = set()
        #: A heap of (deadline, key); no leaf's place is later than its deadline. Packed ones join when any is due.
        self._agenda: list[tuple[int, int]] = []
        self._planned = packed.first is None
        #: No deadline is earlier; None where there is none.
        self.first = packed.first
        if not isinstance(kept, PackedLeaves):
            self.opened |= kept
            self._put |= kept.keys()
            for key in kept:
                self.plan(key)

    def __contains__(self, key: int) -> bool:
        """Whether something is kept of a leaf."""
        if key not in self.opened:
            keys = self._packed.keys
            place = bisect_left(keys, key)
            return place < len(keys) and keys[place] == key and key not in self.opened.dropped
        return key in self._put or key in self.opened.places

    def items(self) -> Iterator[tuple[int, LeafState]]:
        """What is kept, by key in their order."""
        for key in sorted({*self._packed.keys} - self.opened.dropped | self._put):
            yield key, self.opened[key]

    def put(self, key: int, state: LeafState, before: LeafState) -> bool:
        """Keep another state of a leaf, of which `opened` had the one before; whether its truth is another."""
        self.opened[key] = state
        self._put.add(key)
        if self.opened.dropped:
            self.opened.dropped.discard(key)
        deadline = state.deadline
        if deadline is not None and (before.deadline is None or deadline < before.deadline):
            self._plan(deadline, key)
        return state.truth is not before.truth

    def keep(self, keys: Container[int]) -> None:
        """Drop what is kept of all other leaves."""
        for key, _ in [*self.items()]:
            if key not in keys:
                self.opened.drop(key)
                self._put.discard(key)

    def pop_due(self, due: int) -> set[int]:
        """The leaves whose deadline is `due`, which is `first`. They must be judged, put and planned again."""
        agenda, opened = self._agenda, self.opened
        if not self._planned:
            self._planned = True
            agenda += [
                (at, key) for at, key in zip(self._packed.deadlines, self._packed.keys, strict=True) if at is not None
            ]
            heapq.heapify(agenda)
        found: set[int] = set()
        while agenda and agenda[0][0] <= due:
            key = heapq.heappop(agenda)[1]
            deadline = None if key in opened.dropped else opened[key].deadline
            if deadline == due:
                found.add(key)
            elif deadline is not None and deadline > due:  # it moved since then
                heapq.heappush(agenda, (deadline, key))
        self.first = agenda[0][0] if agenda else None
        return found

    def plan(self, key: int) -> None:
        """Note the deadline of a leaf that was due and judged again."""
        if (deadline := self.opened[key].deadline) is not None:
            self._plan(deadline, key)

    def _plan(self, deadline: int, key: int) -> None:
        heapq.heappush(self._agenda, (deadline, key))
        if self.first is None or deadline < self.first:
            self.first = deadline

    def pack(self) -> PackedLeaves:
        """All states, packed; what did not change is copied as it is."""
        places = self.opened.places
        if self.opened.dropped or not self._put <= places.keys():
            return self._pack_anew()
        return self._pack_between(sorted(places[key] for key in self._put)) if self._put else self._packed

    def _pack_between(self, changed: list[int]) -> PackedLeaves:
        """With new states at these places and all others as they are."""
        packed, starts, opened = self._packed, self.opened.starts, self.opened
        body, sizes, deadlines = packed.body, packed.sizes.copy(), packed.deadlines.copy()
        parts: list[bytes] = []
        copied = 0
        for place in changed:
            state = opened[packed.keys[place]]
            data = _encode(state)
            parts += body[copied : starts[place]], data
            copied = starts[place + 1]
            sizes[place], deadlines[place] = len(data), state.deadline
        parts.append(body[copied:])
        return PackedLeaves(packed.keys, sizes, deadlines, _first(deadlines), b"".join(parts))

    def _pack_anew(self) -> PackedLeaves:
        packed, starts = self._packed, self.opened.starts
        parts = {
            key: (packed.body[start:end], deadline)
            for key, start, end, deadline in zip(packed.keys, starts, starts[1:], packed.deadlines, strict=False)
            if key not in self.opened.dropped
        }
        parts |= {key: (_encode(state := self.opened[key]), state.deadline) for key in self._put}
        keys = sorted(parts)
        bodies, deadlines = [parts[key][0] for key in keys], [parts[key][1] for key in keys]
        return PackedLeaves(keys, list(map(len, bodies)), deadlines, _first(deadlines), b"".join(bodies))


def _first(deadlines: list[int | None]) -> int | None:
    return min([at for at in deadlines if at is not None], default=None)
