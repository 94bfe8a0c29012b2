"""The leaf states of one user, in pages, so that an event decodes and encodes only those that it touches.

A user with hundreds of leaves has tens of kilobytes of state, and an event concerns a handful of them. So a user
carries its leaf states in pages that are encoded each by itself (`PackedLeaves`). Pages are read when they are needed,
and written when they changed. The leaves of one event are mostly touched together, and share a page. Times are
microseconds UTC.
"""

import heapq
from collections.abc import Container, Iterator, Mapping
from itertools import pairwise
from struct import pack, unpack
from types import MappingProxyType

import msgspec

from transforms.segments.leaves import Leaf, LeafState

__all__ = ["LeafStates", "PackedLeaves", "earliest"]

_Page = dict[int, LeafState]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Page).decode
_decode_one = msgspec.msgpack.Decoder(LeafState).decode
#: No deadline sorts last.
_NEVER = 2**63 - 1
#: Bytes of a key, and of the number of a page.
_KEY, _HOME = 8, 4
#: At most this many leaves share a page: reading one of them reads all.
_TOGETHER = 8
#: A page with more bytes is split, and a leaf with more than its share of them has a page alone from then on.
_LARGE = 4096
_SHARE = _LARGE // _TOGETHER - 2 * _KEY  # what is around a state is counted, too


class PackedLeaves(msgspec.Struct, frozen=True, array_like=True, gc=False, eq=False):
    """Leaf states by key in `pages`, each encoded by itself.

    `homes` has the number of the page of each of `keys`: eight bytes a key, four a number, big-endian. Lists of
    integers would be decoded and encoded whole for the few that are needed. `due` says for each page when the truth of
    one of its leaves may change, and `first` is the earliest of these. Nothing is ever changed in place.

    Before there were pages, the states were one after another in `body`, in the order of `keys` and `deadlines`;
    `bounds` has, in four bytes each, where each state begins and where the last one ends. New states leave these empty.
    """

    keys: bytes = b""
    bounds: bytes = b""
    deadlines: bytes = b""
    first: int | None = None
    body: bytes = b""
    homes: bytes = b""
    pages: list[bytes] = []
    due: list[int] = []

    def __eq__(self, other: object) -> bool:
        """Whether these are the same states, however they are spread over pages and ordered in a mapping."""
        return isinstance(other, PackedLeaves) and [*LeafStates(self).items()] == [*LeafStates(other).items()]

    __hash__ = None  # type: ignore[assignment]

    def home(self, key: int) -> int | None:
        """The number of the page of a leaf, or None."""
        sought, at = key.to_bytes(_KEY, "big"), -1
        while (at := self.keys.find(sought, at + 1)) >= 0:
            if not at % _KEY:  # else it lies across two keys
                at = at // _KEY * _HOME
                return int.from_bytes(self.homes[at : at + _HOME], "big")
        return None

    def placed(self) -> Iterator[tuple[int, int]]:
        """Each key with the number of its page."""
        count = len(self.keys) // _KEY
        return zip(unpack(f">{count}Q", self.keys), unpack(f">{count}I", self.homes), strict=True)

    def singly(self) -> _Page:
        """The states that were written before there were pages."""
        count = len(self.keys) // _KEY
        keys, bounds = unpack(f">{count}Q", self.keys), unpack(f">{count + 1}I", self.bounds)
        return {
            key: _decode_one(self.body[start:end]) for key, (start, end) in zip(keys, pairwise(bounds), strict=True)
        }


_NOTHING = PackedLeaves()

#: Leaf states as a user holds them. Before they were packed they were a mapping.
KeptLeaves = PackedLeaves | dict[int, LeafState]


def earliest(kept: KeptLeaves) -> int | None:
    """The first time at which the truth of one of these leaves may change without an event."""
    return kept.first if isinstance(kept, PackedLeaves) else _known(_deadline(kept))


class _Opened(dict[int, LeafState]):
    """States by key, read a page at a time when they are first asked for."""

    __slots__ = ("homeless", "leaves", "packed", "pages")

    def __init__(self, packed: PackedLeaves, leaves: Mapping[int, Leaf]) -> None:
        self.packed = packed
        self.leaves = leaves
        #: The pages that were read, by number.
        self.pages: dict[int, _Page] = {}
        #: The keys that are in no page.
        self.homeless: set[int] = set()

    def __missing__(self, key: int) -> LeafState:
        if (home := self.packed.home(key)) is not None:
            return self.page(home)[key]
        self.homeless.add(key)
        state = self[key] = self.leaves[key].unseen
        return state

    def page(self, home: int) -> _Page:
        """The page with a number; it is read if it was not yet."""
        if (page := self.pages.get(home)) is None:
            page = self.pages[home] = _decode(self.packed.pages[home])
            self.update(page)
        return page


class LeafStates:
    """Leaf states being changed.

    Conditions look leaves up in `opened`. It decodes a page when one of its leaves is first needed. A leaf without a
    state has that of an unknown user.

    Args:
      kept: the states.
      leaves: the leaves that may be looked up besides these, by key.
    """

    # One is made for each input, which takes less time with slots.
    __slots__ = ("_agenda", "_later", "_packed", "_put", "first", "opened")

    def __init__(self, kept: KeptLeaves, leaves: Mapping[int, Leaf] = MappingProxyType({})) -> None:
        if isinstance(kept, PackedLeaves) and not kept.body:
            packed, found = kept, None
        else:
            packed, found = _NOTHING, kept.singly() if isinstance(kept, PackedLeaves) else kept
        self._packed = packed
        self.opened = _Opened(packed, leaves)
        self._put: set[int] = set()
        #: A heap of (deadline, key); no leaf's place is later than its deadline. Those of a page join when it is due.
        self._agenda: list[tuple[int, int]] = []
        #: A heap of (deadline, number) of the pages that did not join, None until one is due.
        self._later: list[tuple[int, int]] | None = None
        #: The earliest deadline or an earlier time; None without deadlines.
        self.first = packed.first
        if found is not None:
            self.opened |= found
            self.opened.homeless |= found.keys()
            self._put |= found.keys()
            for key in found:
                self.plan(key)

    def __contains__(self, key: int) -> bool:
        """Whether there is a state of a leaf."""
        return key in self._put or self._packed.home(key) is not None

    def items(self) -> Iterator[tuple[int, LeafState]]:
        """The states by key, in the order of keys."""
        for key in sorted({key for key, _ in self._packed.placed()} | self._put):
            yield key, self.opened[key]

    def put(self, key: int, state: LeafState) -> bool:
        """Set the state of a leaf; returns whether its truth changed."""
        before = self.opened[key]
        self.opened[key] = state
        self._put.add(key)
        deadline = state.deadline
        if deadline is not None and (before.deadline is None or deadline < before.deadline):
            self._plan(deadline, key)
        return state.truth is not before.truth

    def only(self, keys: Container[int]) -> "LeafStates":
        """These states, without those of all other leaves."""
        return LeafStates({key: state for key, state in self.items() if key in keys}, self.opened.leaves)

    def pop_due(self, due: int) -> set[int]:
        """The leaves whose deadline is `due`, which is `first`. They must be evaluated, put and planned again."""
        agenda, opened, later = self._agenda, self.opened, self._later
        if later is None:
            later = self._later = [(at, home) for home, at in enumerate(self._packed.due) if at != _NEVER]
            heapq.heapify(later)
        while later and later[0][0] <= due:
            for key in opened.page(heapq.heappop(later)[1]):
                self.plan(key)
        found: set[int] = set()
        while agenda and agenda[0][0] <= due:
            key = heapq.heappop(agenda)[1]
            deadline = opened[key].deadline
            if deadline == due:
                found.add(key)
            elif deadline is not None and deadline > due:  # it moved since then
                heapq.heappush(agenda, (deadline, key))
        self.first = min((heap[0][0] for heap in (agenda, later) if heap), default=None)
        return found

    def plan(self, key: int) -> None:
        """Note the deadline of a leaf that was due and evaluated again."""
        if (deadline := self.opened[key].deadline) is not None:
            self._plan(deadline, key)

    def _plan(self, deadline: int, key: int) -> None:
        heapq.heappush(self._agenda, (deadline, key))
        if self.first is None or deadline < self.first:
            self.first = deadline

    def pack(self) -> PackedLeaves:
        """All states, packed; pages without a change are taken as they are."""
        packed, put, opened = self._packed, self._put, self.opened
        if not put:
            return packed
        if not put.isdisjoint(opened.homeless):
            return self._pack_anew()
        pages, due = [*packed.pages], [*packed.due]
        for home, page in opened.pages.items():
            if not put.isdisjoint(page):
                states = {key: opened[key] for key in page}
                data = pages[home] = _encode(states)
                if len(data) > _LARGE and len(states) > 1:
                    return self._pack_anew()
                due[home] = _deadline(states)
        return msgspec.structs.replace(packed, first=_known(min(due)), pages=pages, due=due)

    def _pack_anew(self) -> PackedLeaves:
        """Pack when some leaves have no page yet, or some page is too large."""
        packed, put = self._packed, self._put
        made: list[tuple[list[int], bytes, int]] = []
        for home, keys in enumerate(self._settled()):
            if put.isdisjoint(keys):
                made.append((keys, packed.pages[home], packed.due[home]))
            else:
                made += [([*page], data, _deadline(page)) for page, data in self._apart(keys)]
        count = sum(len(keys) for keys, _, _ in made)
        due = [deadline for _, _, deadline in made]
        return PackedLeaves(
            keys=pack(f">{count}Q", *(key for keys, _, _ in made for key in keys)),
            first=_known(min(due, default=_NEVER)),
            homes=pack(f">{count}I", *(home for home, (keys, _, _) in enumerate(made) for _ in keys)),
            pages=[data for _, data, _ in made],
            due=due,
        )

    def _settled(self) -> list[list[int]]:
        """The keys of each page. Leaves without one go to the first page of their group with room, or to new pages."""
        packed = self._packed
        pages: list[list[int]] = [[] for _ in packed.pages]
        for key, home in packed.placed():
            pages[home].append(key)
        with_room: dict[str, list[int]] = {}
        for keys, data in zip(pages, packed.pages, strict=True):
            if len(keys) < _TOGETHER and len(data) < _LARGE // 2:
                with_room.setdefault(self._group(keys[0]), keys)
        had = {key for keys in pages for key in keys}
        for group, key in sorted((self._group(key), key) for key in self._put - had):
            page = with_room.get(group)
            if page is None or len(page) == _TOGETHER:
                page = with_room[group] = []
                pages.append(page)
            page.append(key)
        return pages

    def _apart(self, keys: list[int]) -> Iterator[tuple[_Page, bytes]]:
        """These leaves as one encoded page, or as several where one would be too large."""
        page = {key: self.opened[key] for key in keys}
        if len(data := _encode(page)) <= _LARGE or len(page) == 1:
            yield page, data
            return
        alone = {key for key, state in page.items() if len(_encode(state)) > _SHARE}
        parts = [{key: state for key, state in page.items() if key not in alone}]
        for part in parts + [{key: page[key]} for key in sorted(alone)]:
            if part:
                yield part, _encode(part)

    def _group(self, key: int) -> str:
        """Leaves of one group are mostly touched together; a leaf that no definition knows has a group alone."""
        leaf = self.opened.leaves.get(key)
        return str(key) if leaf is None else leaf.group


def _deadline(page: _Page) -> int:
    """The earliest deadline of a page."""
    return min([_NEVER if (at := state.deadline) is None else at for state in page.values()], default=_NEVER)


def _known(deadline: int) -> int | None:
    return None if deadline == _NEVER else deadline
