"""The duplicate horizon: which messages a user has taken, as hashes of their ids, each with its clock."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from struct import pack
from typing import Any

import msgspec

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.segments.values import DAY

__all__ = ["SEEN_AGE", "SEEN_COUNT", "KeptSeen", "PackedSeen", "Seen", "hash_message"]

#: The duplicate horizon is 24 h and 512 message ids a user.
SEEN_AGE, SEEN_COUNT = DAY, 512
#: Bytes of a hash, and of a clock.
_WIDTH = 8


class PackedSeen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Hashes of messages in the order in which they were taken, and the clock (microseconds UTC) at which each was.

    Both stand one after the other, eight bytes each, big-endian: they come and go with every event, and hardly any is
    ever looked at.
    """

    hashes: bytes = b""
    clocks: bytes = b""

    @classmethod
    def of(cls, seen: Mapping[int, int]) -> "PackedSeen":
        """From clocks by hash, in their order."""
        form = f">{len(seen)}Q"
        return cls(pack(form, *seen), pack(form, *seen.values()))


#: Seen messages as a user holds them. A mapping is how they were written before they were packed.
KeptSeen = PackedSeen | dict[int, int]


class Seen(Part):
    """The messages that a user has taken, being changed."""

    fields = ("seen",)
    __slots__ = ("_clocks", "_first", "_fresh", "_hashes")

    def __init__(self, kept: KeptSeen) -> None:
        packed = kept if isinstance(kept, PackedSeen) else PackedSeen.of(kept)
        self._hashes, self._clocks = packed.hashes, packed.clocks
        #: The place of the oldest packed one that was not forgotten.
        self._first = 0
        self._fresh: dict[int, int] = {}

    def __contains__(self, message_hash: int) -> bool:
        """Whether a message was taken."""
        if message_hash in self._fresh:
            return True
        hashes, sought = self._hashes, message_hash.to_bytes(_WIDTH, "big")
        place = hashes.find(sought, self._first)
        while place >= 0 and place % _WIDTH:  # across two hashes
            place = hashes.find(sought, place + 1)
        return place >= 0

    def items(self) -> Iterator[tuple[int, int]]:
        """Each hash with its clock, the oldest first."""
        for place in range(self._first, len(self._hashes), _WIDTH):
            yield _number(self._hashes, place), _number(self._clocks, place)
        yield from self._fresh.items()

    def add(self, message_hash: int, clock: int) -> None:
        """Note one more message, which is taken at `clock`, and forget those beyond the duplicate horizon.

        Its age counts from when it was applied: one that comes a day late by its arrival would be forgotten at once.
        """
        fresh, end, horizon = self._fresh, len(self._hashes), clock - SEEN_AGE
        fresh[message_hash] = clock
        while self._first < end and (
            (end - self._first) // _WIDTH + len(fresh) > SEEN_COUNT or _number(self._clocks, self._first) <= horizon
        ):
            self._first += _WIDTH
        if self._first == end:
            while len(fresh) > SEEN_COUNT or fresh[next(iter(fresh))] <= horizon:
                del fresh[next(iter(fresh))]

    def since(self, clock: int) -> int:
        """A time (microseconds UTC): all messages that were taken and arrived later, up to the user's clock,
        are here.
        """
        oldest = next(self.items(), (0, 0))[1] if len([*self.items()]) >= SEEN_COUNT else 0
        return max(clock - SEEN_AGE, oldest)

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The newest of what both have taken."""
        known = dict(Seen(theirs.seen).items()) | dict(self.items())
        both = sorted((at, message_hash) for message_hash, at in known.items())
        self._begin({message_hash: at for at, message_hash in both[-SEEN_COUNT:]})

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each message."""
        for message_hash, at in self.items():
            yield Piece.of(at, PieceGroup.GUARDS, "seen", message_hash, message_hash, at)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some messages."""
        self._begin({message_hash: at for message_hash, at in self.items() if message_hash not in lost["seen"]})

    def pack(self, _clock: int = 0) -> tuple[PackedSeen]:
        """All of them, packed."""
        first, fresh = self._first, self._fresh
        form = f">{len(fresh)}Q"
        hashes, clocks = self._hashes[first:] + pack(form, *fresh), self._clocks[first:] + pack(form, *fresh.values())
        return (PackedSeen(hashes, clocks),)

    def _begin(self, seen: dict[int, int]) -> None:
        self._hashes = self._clocks = b""
        self._first, self._fresh = 0, seen


def hash_message(message: str) -> int:
    """The 8-byte hash of a message id."""
    return int.from_bytes(blake2b(message.encode(), digest_size=8).digest(), "big")


def _number(held: bytes, place: int) -> int:
    return int.from_bytes(held[place : place + _WIDTH], "big")
