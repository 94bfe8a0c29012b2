"""A stable place for each user in a hundred percent; a different one for each salt."""

from fractions import Fraction
from hashlib import blake2b
from math import ceil

import msgspec

__all__ = ["place", "threshold"]

_PLACES = 2**64


def place(salt: str, user: str) -> int:
    """Where a user stands: a whole number in [0, 2**64), the 8-byte BLAKE2b hash of the JSON array [salt, user]."""
    return int.from_bytes(blake2b(msgspec.json.encode([salt, user]), digest_size=8).digest(), "big")


def threshold(percent: float) -> int:
    """The first place at or after a percentage, exactly as its decimals say: the first `percent` are below it."""
    return ceil(Fraction(str(percent)) * _PLACES / 100)
