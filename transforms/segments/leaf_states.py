"""The leaf states of one user: kept encoded one by one, so that an event opens and writes those only that it touches.

A user with hundreds of leaves has tens of kilobytes of state, of which an event concerns a handful. So a user carries
its leaf states as one run of bytes with their places (`PackedLeaves`), and who works on them reads what is asked and
packs what changed between what did not. Times are microseconds UTC.
"""

import heapq
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, pairwise
from struct import Struct, pack, unpack
from types import MappingProxyType

import msgspec

from transforms.segments.leaves import Leaf, LeafState

__all__ = ["LeafStates", "PackedLeaves", "earliest"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LeafState).decode
#: Where a state begins and ends, and when its truth may change; no deadline is the last of all.
_SPAN, _DEADLINE, _NEVER = Struct(">II"), Struct(">q"), 2**63 - 1
#: Bytes of a key, as of a deadline, and of a bound.
_KEY, _BOUND = 8, 4


class PackedLeaves(msgspec.Struct, frozen=True, array_like=True, gc=False, eq=False):
    """Leaf states by key, encoded one after the other in `body` in the order of `keys`, which are sorted.

    `bounds` says where each begins, and the last one ends; `deadlines` when its truth may change, and `first` is the
    earliest of them. Keys and deadlines have eight bytes each, bounds four, big-endian: lists of integers would be read
    and written whole for the few that are asked for. Nothing is ever changed in place.
    """

    keys: bytes = b""
    bounds: bytes = bytes(_BOUND)
    deadlines: bytes = b""
    first: int | None = None
    body: bytes = b""

    def __eq__(self, other: object) -> bool:
        """Whether these are the same states; a mapping in one may be written in another order."""
        return isinstance(other, PackedLeaves) and [*LeafStates(self).items()] == [*LeafStates(other).items()]

    __hash__ = None  # type: ignore[assignment]

    def place(self, key: int) -> int | None:
        """Where a leaf stands among the others, or None."""
        sought, at = key.to_bytes(_KEY, "big"), -1
        while (at := self.keys.find(sought, at + 1)) >= 0:
            if not at % _KEY:  # else it lies across two keys
                return at // _KEY
        return None

    def listed(self) -> Iterator[tuple[int, int]]:
        """Each key with its deadline."""
        count = len(self.keys) // _KEY
        return zip(unpack(f">{count}Q", self.keys), unpack(f">{count}q", self.deadlines), strict=True)


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
        #: Of each state that was read its place among the packed ones, and from where to where it reaches there.
        self.places: dict[int, tuple[int, int, int]] = {}

    def __missing__(self, key: int) -> LeafState:
        packed = self.packed
        at = packed.keys.find(key.to_bytes(_KEY, "big"))
        # A call less, nearly always: it is not there, or where it is found first.
        place = None if at < 0 else packed.place(key) if at % _KEY else at // _KEY
        if place is not None:
            start, end = _SPAN.unpack_from(packed.bounds, place * _BOUND)
            state = _decode(packed.body[start:end])
            self.places[key] = place, start, end
        else:
            state = self.leaves[key].unseen
        self[key] = state
        return state


class LeafStates:
    """Leaf states being changed.

    `opened` is where conditions look leaves up: each is decoded when it is first asked for, and a leaf of which nothing
    is kept says what it says of somebody unknown.

    Args:
      kept: the states.
      leaves: what may be looked up beside these, by key.
    """

    def __init__(self, kept: Kept, leaves: Mapping[int, Leaf] = MappingProxyType({})) -> None:
        self._begin(kept, leaves)

    def _begin(self, kept: Kept, leaves: Mapping[int, Leaf]) -> None:
        self._packed = packed = kept if isinstance(kept, PackedLeaves) else PackedLeaves()
        self.opened = _Opened(packed, leaves)
        self._put: set[int] = set()
        #: Those among them that have another deadline, or had: with the one that is packed.
        self._moved: dict[int, int | None] = {}
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
        return key in self._put or self._packed.place(key) is not None

    def items(self) -> Iterator[tuple[int, LeafState]]:
        """What is kept, by key in their order."""
        for key in sorted({key for key, _ in self._packed.listed()} | self._put):
            yield key, self.opened[key]

    def put(self, key: int, state: LeafState, before: LeafState) -> bool:
        """Keep another state of a leaf, of which `opened` had the one before; whether its truth is another."""
        self.opened[key] = state
        self._put.add(key)
        if (deadline := state.deadline) != before.deadline:
            self._moved.setdefault(key, before.deadline)
            if deadline is not None and (before.deadline is None or deadline < before.deadline):
                self._plan(deadline, key)
        return state.truth is not before.truth

    def keep(self, keys: Container[int]) -> None:
        """Drop what is kept of all other leaves."""
        self._begin({key: state for key, state in self.items() if key in keys}, self.opened.leaves)

    def pop_due(self, due: int) -> set[int]:
        """The leaves whose deadline is `due`, which is `first`. They must be judged, put and planned again."""
        agenda, opened = self._agenda, self.opened
        if not self._planned:
            self._planned = True
            agenda += [(at, key) for key, at in self._packed.listed() if at != _NEVER]
            heapq.heapify(agenda)
        found: set[int] = set()
        while agenda and agenda[0][0] <= due:
            key = heapq.heappop(agenda)[1]
            deadline = opened[key].deadline
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
        put, places = self._put, self.opened.places
        if not put:
            return self._packed
        return self._pack_between() if put <= places.keys() else self._pack_anew()

    def _pack_between(self) -> PackedLeaves:
        """With new states at their places, and all others as they are."""
        packed, opened, body = self._packed, self.opened, self._packed.body
        places = opened.places
        parts: list[bytes] = []
        longer: list[tuple[int, int]] = []
        copied = 0
        for (place, start, end), key in sorted([(places[key], key) for key in self._put]):
            data = _encode(opened[key])
            parts += body[copied:start], data
            copied = end
            if len(data) != end - start:
                longer.append((place, len(data) - end + start))
        parts.append(body[copied:])
        bounds = _lengthened(packed.bounds, longer) if longer else packed.bounds
        deadlines, first = self._deadlines() if self._moved else (packed.deadlines, packed.first)
        return PackedLeaves(packed.keys, bounds, deadlines, first, b"".join(parts))

    def _deadlines(self) -> tuple[bytes, int | None]:
        """All deadlines, and the earliest; the others are looked at only where that one has moved."""
        opened, places = self.opened, self.opened.places
        deadlines, before = bytearray(self._packed.deadlines), self._packed.first
        lost, first = False, _NEVER if before is None else before
        for key, packed in self._moved.items():
            deadline = opened[key].deadline
            if deadline is None:
                deadline = _NEVER
            _DEADLINE.pack_into(deadlines, places[key][0] * _KEY, deadline)
            if deadline < first:
                first = deadline
            elif packed is not None and packed == before:
                lost = True
        if lost and first == before:
            first = min(unpack(f">{len(deadlines) // _KEY}q", deadlines))
        return bytes(deadlines), _known(first)

    def _pack_anew(self) -> PackedLeaves:
        packed, opened = self._packed, self.opened
        bounds = unpack(f">{len(packed.bounds) // _BOUND}I", packed.bounds)
        parts = {
            key: (packed.body[start:end], deadline)
            for (key, deadline), (start, end) in zip(packed.listed(), pairwise(bounds), strict=True)
        }
        for key in self._put:
            state = opened[key]
            parts[key] = _encode(state), _NEVER if state.deadline is None else state.deadline
        keys = sorted(parts)
        bodies, deadlines = [parts[key][0] for key in keys], [parts[key][1] for key in keys]
        count = len(keys)
        return PackedLeaves(
            pack(f">{count}Q", *keys),
            pack(f">{count + 1}I", *accumulate(map(len, bodies), initial=0)),
            pack(f">{count}q", *deadlines),
            _known(min(deadlines, default=_NEVER)),
            b"".join(bodies),
        )


def _known(deadline: int) -> int | None:
    return None if deadline == _NEVER else deadline


def _lengthened(bounds: bytes, longer: list[tuple[int, int]]) -> bytes:
    """Bounds after the states at some places have become so much longer, or shorter.

    They are taken as one long number, to which others are added: no sum reaches into the next bound.
    """
    last, number = len(bounds) // _BOUND - 1, int.from_bytes(bounds, "big")
    for place, more in longer:
        number += more * _ones(last - place)
    return number.to_bytes(len(bounds), "big")


@lru_cache(256)
def _ones(count: int) -> int:
    """A number of so many bounds that are 1."""
    return int.from_bytes((1).to_bytes(_BOUND, "big") * count, "big")
