"""The evidence that leaves over events keep, and what every kind of leaf can do with it.

A *stamp* is (time in microseconds UTC, 8-byte hash of the message id, or of what else tells events apart). *Evidence*,
all that a leaf keeps, has one of four shapes; in each of them an empty tuple is nothing. None is ever changed in place.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

__all__ = [
    "Evidence",
    "EvidencePiece",
    "Extremes",
    "Groups",
    "Kind",
    "Origin",
    "SourceSum",
    "SourceSums",
    "Stamp",
    "Stamps",
    "exact",
    "hash_of",
    "pieces",
    "value_hashes",
    "without",
]

#: Hashes of texts up to this length are cached.
_USUAL = 256

Stamp = tuple[int, int]
Stamps = tuple[Stamp, ...]


class Groups(msgspec.Struct, frozen=True, tag="groups", tag_field="kept", gc=False, rename={"stamps": "marks"}):
    """Stamps kept apart: by the hash of a value of `same`, or by the step of a sequence."""

    stamps: dict[int, Stamps]


class SourceSum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one source has added up for one value of `same` (its hash; 0 without `same`).

    `owner` is 0 for what was counted here, else the hash of the user who was merged; `seed` is 0 for live events, else
    the hash of the seed's id. `version` is how many events the source has taken: of two copies the greater one is
    newer. `newest` is the time of the newest of them. `cells` maps buckets of time to (how many, how much); an amount
    beyond 64 bits is written as text, since MessagePack's integers end there.
    """

    owner: int = 0
    seed: int = 0
    value: int = 0
    version: int = 0
    newest: int = 0
    cells: dict[int, tuple[int, int | str]] = {}


class SourceSums(msgspec.Struct, frozen=True, tag="tallies", tag_field="kept", gc=False):
    """Sums by source and value, in the order of (owner, seed, value)."""

    tallies: tuple[SourceSum, ...]


class Extremes(msgspec.Struct, frozen=True, tag="extremes", tag_field="kept", gc=False):
    """The least or greatest number of each bucket of time."""

    cells: dict[int, int | float]


Evidence = Stamps | Groups | SourceSums | Extremes


class EvidencePiece(NamedTuple):
    """A part of evidence that can be dropped alone: its key in the evidence, its newest time (None: unknown), its
    content.
    """

    key: Any
    time: int | None
    content: Any


class Origin(NamedTuple):
    """Whose evidence is joined to whose: ids of users (`theirs` is empty for a user's own seed), and the source."""

    mine: str = ""
    theirs: str = ""
    source: str = "live"


class Kind(NamedTuple):
    """One kind of leaf over events.

    `add` gives the evidence after an event, from its stamp, the number of the filter that it passed and its
    properties; the very same object if nothing changed. `join` gives the union of two users' evidence. `evaluate` gives
    the truth of evidence at a time in a zone, and the first time after it at which the truth may change without an
    event.
    """

    add: Callable[[Any, Stamp, int, dict[str, Any]], Any]
    join: Callable[[Any, Any, Origin], Any]
    evaluate: Callable[[Any, int, str], tuple[bool, int | None]]


def hash_of(text: str) -> int:
    """The 8-byte hash of a text."""
    # Users may write texts of any length; long ones are not cached. Ids have at most 256 bytes.
    return _known_hash(text) if len(text) <= _USUAL else _hash(text)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


_known_hash = lru_cache(maxsize=4096)(_hash)


def value_hashes(values: Iterable[Any]) -> list[int]:
    """The 8-byte hashes of the different texts, numbers (5 is 5.0) and booleans among these values."""
    scalars = (exact(value) for value in values if isinstance(value, str | int | float))
    return list(dict.fromkeys(hash_of(msgspec.json.encode(value).decode()) for value in scalars))


def exact(value: Any) -> Any:
    """A float that is a whole number of 64 bits as an integer, so that equal numbers are one value."""
    return int(value) if isinstance(value, float) and value.is_integer() and -(2**63) <= value < 2**64 else value


def pieces(evidence: Evidence) -> Iterator[EvidencePiece]:
    """The parts that can be dropped alone.

    These are the stamps; for sums, each value with all its sources, since a part of a sum is no sum; extremes as a
    whole.
    """
    match evidence:
        case Groups(groups):
            for group, kept in groups.items():
                for stamp in kept:
                    yield EvidencePiece((group, stamp), stamp[0], stamp)
        case SourceSums(tallies):
            values: dict[int, list[SourceSum]] = defaultdict(list)
            for tally in tallies:
                values[tally.value].append(tally)
            for value, same in values.items():
                yield EvidencePiece(value, max(tally.newest for tally in same), same)
        case Extremes(cells):
            yield EvidencePiece(None, None, cells)
        case _:
            for stamp in evidence:
                yield EvidencePiece(stamp, stamp[0], stamp)


def without(evidence: Evidence, lost: Container[Any]) -> Evidence:
    """The evidence without the pieces of these keys."""
    match evidence:
        case Groups(groups):
            kept = {
                group: tuple(stamp for stamp in stamps if (group, stamp) not in lost)
                for group, stamps in groups.items()
            }
            kept = {group: stamps for group, stamps in kept.items() if stamps}
            return Groups(kept) if kept else ()
        case SourceSums(tallies):
            left = tuple(tally for tally in tallies if tally.value not in lost)
            return SourceSums(left) if left else ()
        case Extremes():
            return () if None in lost else evidence
    return tuple(stamp for stamp in evidence if stamp not in lost)
