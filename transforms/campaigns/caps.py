"""Frequency caps: how many messages a user got lately, and whether one more may follow.

What counts is a message that was decided, one however many devices it goes to. It is given back when it certainly
reached none of them. Times are microseconds UTC.
"""

from collections.abc import Iterable, Sequence

import msgspec

from transforms.campaigns.policies import MAX_CAPPED, Cap

__all__ = ["FAILED", "Counted", "counted_after", "given_back", "is_capped", "join_cap_history"]


#: The kinds of receipts by which a message has certainly not reached an address.
FAILED = ("failed", "dead_token", "bounced", "expired", "suppressed")


class Counted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that counts: when it was decided, by which channel, and the ids of its sends that have not failed."""

    at: int
    channel: str
    sends: tuple[str, ...]


def is_capped(cap_history: Iterable[Counted], caps: Sequence[Cap], channel: str, now: int) -> bool:
    """Whether one more message by a channel would be more than a cap allows."""
    return any(
        sum(each.channel in cap.channels and each.at > now - cap.per for each in cap_history) >= cap.at_most
        for cap in caps
        if channel in cap.channels
    )


def counted_after(cap_history: tuple[Counted, ...], caps: Sequence[Cap], new: Counted) -> tuple[Counted, ...]:
    """What is counted once a message was decided; what no cap asks for any more is forgotten."""
    longest = {channel: cap.per for cap in sorted(caps, key=lambda cap: cap.per) for channel in cap.channels}
    if new.channel not in longest:
        return cap_history
    kept = [each for each in cap_history if each.at > new.at - longest.get(each.channel, 0)]
    return (*kept, new)[-MAX_CAPPED * len(longest) :]


def given_back(cap_history: tuple[Counted, ...], send: str) -> tuple[Counted, ...]:
    """What is counted once a send has certainly failed."""
    left = []
    for each in cap_history:
        sends = tuple(other for other in each.sends if other != send)
        if sends:
            left.append(each if len(sends) == len(each.sends) else msgspec.structs.replace(each, sends=sends))
    return tuple(left)


def join_cap_history(mine: tuple[Counted, ...], theirs: tuple[Counted, ...]) -> tuple[Counted, ...]:
    """The messages of two who are one user, each once."""
    known = {each.sends[0] for each in mine}
    both = [*mine, *(each for each in theirs if each.sends[0] not in known)]
    return tuple(sorted(both, key=lambda each: (each.at, each.sends)))
