"""The duplicate horizon: which messages a user has taken, as hashes of their ids with the clock at which each was."""

from collections.abc import Mapping
from hashlib import blake2b

from transforms.segments.values import DAY

__all__ = ["SEEN_AGE", "SEEN_COUNT", "mark_of", "remember", "seen_by_both"]

#: The duplicate horizon is 24 h and 512 message ids a user.
SEEN_AGE, SEEN_COUNT = DAY, 512


def mark_of(message: str) -> int:
    """The 8-byte hash of a message id."""
    return int.from_bytes(blake2b(message.encode(), digest_size=8).digest(), "big")


def remember(seen: dict[int, int], mark: int, clock: int) -> None:
    """Note a message id in `seen`, and forget those beyond the duplicate horizon.

    Its age counts from when it was applied: one that comes a day late by its arrival would be forgotten at once.
    """
    horizon = clock - SEEN_AGE
    seen[mark] = clock
    while len(seen) > SEEN_COUNT or seen[next(iter(seen))] <= horizon:
        del seen[next(iter(seen))]
        if not seen:
            break


def seen_by_both(mine: Mapping[int, int], theirs: Mapping[int, int]) -> dict[int, int]:
    """The newest of what two users who become one have taken."""
    seen = sorted((at, mark) for mark, at in {**theirs, **mine}.items())
    return {mark: at for at, mark in seen[-SEEN_COUNT:]}
