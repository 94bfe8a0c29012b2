"""The duplicate horizon: which messages a user has taken, as hashes of their ids with the clock at which each was."""

from collections.abc import Container, Iterator, Mapping
from hashlib import blake2b
from struct import pack

import msgspec

from transforms.segments.values import DAY

__all__ = ["SEEN_AGE", "SEEN_COUNT", "KeptSeen", "PackedSeen", "Seen", "mark_of"]

#: The duplicate horizon is 24 h and 512 message ids a user.
SEEN_AGE, SEEN_COUNT = DAY, 512
#: Bytes of a mark, and of a clock.
_WIDTH = 8


class PackedSeen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Marks of messages in the order in which they were taken, and the clock (microseconds UTC) at which each was.

    Both stand one after the other, eight bytes each, big-endian: they come and go with every event, and hardly any is
    ever looked at.
    """

    marks: bytes = b""
    clocks: bytes = b""

    @classmethod
    def of(cls, seen: Mapping[int, int]) -> "PackedSeen":
        """From clocks by mark, in their order."""
        form = f">{len(seen)}Q"
        return cls(pack(form, *seen), pack(form, *seen.values()))


#: Seen messages as a user holds them. A mapping is how they were written before they were packed.
KeptSeen = PackedSeen | dict[int, int]


class Seen:
    """The messages that a user has taken, being changed."""

    def __init__(self, kept: KeptSeen) -> None:
        packed = kept if isinstance(kept, PackedSeen) else PackedSeen.of(kept)
        self._marks, self._clocks = packed.marks, packed.clocks
        #: The place of the oldest packed one that was not forgotten.
        self._first = 0
        self._fresh: dict[int, int] = {}

    def __contains__(self, mark: int) -> bool:
        """Whether a message was taken."""
        if mark in self._fresh:
            return True
        marks, sought = self._marks, mark.to_bytes(_WIDTH, "big")
        place = marks.find(sought, self._first)
        while place >= 0 and place % _WIDTH:  # across two marks
            place = marks.find(sought, place + 1)
        return place >= 0

    def items(self) -> Iterator[tuple[int, int]]:
        """Each mark with its clock, the oldest first."""
        for place in range(self._first, len(self._marks), _WIDTH):
            yield _number(self._marks, place), _number(self._clocks, place)
        yield from self._fresh.items()

    def add(self, mark: int, clock: int) -> None:
        """Note one more message, which is taken at `clock`, and forget those beyond the duplicate horizon.

        Its age counts from when it was applied: one that comes a day late by its arrival would be forgotten at once.
        """
        fresh, end, horizon = self._fresh, len(self._marks), clock - SEEN_AGE
        fresh[mark] = clock
        while self._first < end and (
            (end - self._first) // _WIDTH + len(fresh) > SEEN_COUNT or _number(self._clocks, self._first) <= horizon
        ):
            self._first += _WIDTH
        if self._first == end:
            while len(fresh) > SEEN_COUNT or fresh[next(iter(fresh))] <= horizon:
                del fresh[next(iter(fresh))]

    def since(self, clock: int) -> int:
        """The time (microseconds UTC) of whose later arrivals, up to a user's clock, all that were taken are here."""
        oldest = next(self.items(), (0, 0))[1] if len([*self.items()]) >= SEEN_COUNT else 0
        return max(clock - SEEN_AGE, oldest)

    def join(self, other: "Seen") -> None:
        """Keep the newest of what two users who become one have taken."""
        both = sorted((at, mark) for mark, at in (dict(other.items()) | dict(self.items())).items())
        self._begin({mark: at for at, mark in both[-SEEN_COUNT:]})

    def drop(self, marks: Container[int]) -> None:
        """Forget some messages."""
        self._begin({mark: at for mark, at in self.items() if mark not in marks})

    def pack(self) -> PackedSeen:
        """All of them, packed."""
        first, fresh = self._first, self._fresh
        form = f">{len(fresh)}Q"
        return PackedSeen(self._marks[first:] + pack(form, *fresh), self._clocks[first:] + pack(form, *fresh.values()))

    def _begin(self, seen: dict[int, int]) -> None:
        self._marks = self._clocks = b""
        self._first, self._fresh = 0, seen


def mark_of(message: str) -> int:
    """The 8-byte hash of a message id."""
    return int.from_bytes(blake2b(message.encode(), digest_size=8).digest(), "big")


def _number(held: bytes, place: int) -> int:
    return int.from_bytes(held[place : place + _WIDTH], "big")
