"""Frequency caps: how many messages a user got lately, and whether one more may follow.

A message counts once when it is decided, however many devices it goes to. It is given back when it certainly reached
none of them. Times are microseconds UTC.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.policies import MAX_CAPPED, Cap

__all__ = ["FAILED", "CapHistory", "Counted"]


#: The kinds of receipts by which a message has certainly not reached an address.
FAILED = ("failed", "dead_token", "bounced", "soft_bounced", "expired", "suppressed")


class Counted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that counts: when it was decided, by which channel, and the ids of its sends that have not failed."""

    at: int
    channel: str
    sends: tuple[str, ...]


class CapHistory(Part, msgspec.Struct, gc=False):
    """The messages that count for one user, the oldest first, being changed."""

    fields = ("cap_history",)

    cap_history: tuple[Counted, ...]

    def is_capped(self, caps: Sequence[Cap], channel: str, now: int) -> bool:
        """Whether one more message by a channel would be more than a cap allows."""
        return any(
            sum(each.channel in cap.channels and each.at > now - cap.per for each in self.cap_history) >= cap.at_most
            for cap in caps
            if channel in cap.channels
        )

    def add(self, caps: Sequence[Cap], new: Counted) -> None:
        """Count a message that was decided, and forget those that no cap asks for any more."""
        longest = {channel: cap.per for cap in sorted(caps, key=lambda cap: cap.per) for channel in cap.channels}
        if new.channel in longest:
            kept = [each for each in self.cap_history if each.at > new.at - longest.get(each.channel, 0)]
            self.cap_history = (*kept, new)[-MAX_CAPPED * len(longest) :]

    def give_back(self, send: str) -> None:
        """Stop counting a send that has certainly failed."""
        left = []
        for each in self.cap_history:
            sends = tuple(other for other in each.sends if other != send)
            if sends:
                left.append(each if len(sends) == len(each.sends) else msgspec.structs.replace(each, sends=sends))
        self.cap_history = tuple(left)

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The messages of both, each once."""
        known = {each.sends[0] for each in self.cap_history}
        both = [*self.cap_history, *(each for each in theirs.cap_history if each.sends[0] not in known)]
        self.cap_history = tuple(sorted(both, key=lambda each: (each.at, each.sends)))

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each message."""
        for each in self.cap_history:
            yield Piece.of(each.at, PieceGroup.GUARDS, "counted", each.sends, each)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Stop counting some."""
        self.cap_history = tuple(each for each in self.cap_history if each.sends not in lost["counted"])
