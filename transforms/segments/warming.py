"""Conditions as they are and as they were: which of them answers while leaves are warming for a user.

A leaf that came with a new revision counts events from its activation on. For a user who was known before, it is
warming until a seed has brought what came earlier. Until then the condition answers as it was one revision earlier, or
the one before that; a new condition answers no. References to segments follow the same revision, so that an old
condition means what it meant.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from transforms.segments.conditions import All, Any_, Condition, EventCondition, FactCondition, Not, SegmentRef
from transforms.segments.leaves import LeafState, leaf_key

__all__ = ["AskedConditions", "Compile", "Test", "Wording", "Wordings", "answering", "atoms", "nobody", "references"]

#: Whether a condition holds, from the states of leaves and the memberships (segment id to since) of one user.
Test = Callable[[Mapping[int, LeafState], dict[str, int]], bool]

#: Compiles a condition; the second argument gives the test of a segment that it refers to (None: membership).
Compile = Callable[[Condition, Callable[[str], Test] | None], Test]


class AskedConditions(NamedTuple):
    """What a revision asks: conditions by the id of their segment, and campaigns' conditions by a name."""

    segments: Mapping[str, Condition]
    campaigns: Mapping[str, Condition]


class Wording(NamedTuple):
    """A condition as one revision has it: its test, its leaves, and the activations (times) that they wait for."""

    test: Test
    leaves: frozenset[int]
    waits: frozenset[int]


def nobody(_leaves: Mapping[int, LeafState], _members: dict[str, int]) -> bool:
    """The test of a condition that nothing can answer yet."""
    return False


def answering(wordings: Sequence[Wording], warming: frozenset[int]) -> Test:
    """The test of the newest wording that waits for nothing; `nobody` if there is none."""
    return next((wording.test for wording in wordings if wording.waits.isdisjoint(warming)), nobody)


class Wordings:
    """The conditions that may have to wait, with the older wordings that answer meanwhile.

    Args:
      revisions: what each asks, the newest first.
      activations: of leaves, by key; other leaves are as old as the users.
      compile_: compiles a condition; its leaves join the index.
    """

    def __init__(self, revisions: Sequence[AskedConditions], activations: Mapping[int, int], compile_: Compile) -> None:
        self._revisions = revisions
        self._activations = activations
        self._compile = compile_
        self._leaves_known: dict[tuple[int, str], frozenset[int]] = {}
        self._tests_known: dict[tuple[int, str], Test] = {}
        #: The wordings of those segments and campaigns' conditions that have to wait: the newest first.
        self.segments = self._of_all([asked.segments for asked in revisions])
        self.campaigns = self._of_all([asked.campaigns for asked in revisions])

    def _of_all(self, revisions: Sequence[Mapping[str, Condition]]) -> dict[str, tuple[Wording, ...]]:
        names = revisions[0] if self._activations else ()
        found = {name: self._of([conditions.get(name) for conditions in revisions]) for name in names}
        return {name: wordings for name, wordings in found.items() if wordings}

    def _of(self, conditions: Sequence[Condition | None]) -> tuple[Wording, ...]:
        """The wordings of one condition, back to the first that waits for nothing; empty if that is the newest."""
        wordings: list[Wording] = []
        for place, condition in enumerate(conditions):
            if condition is None:
                break
            leaves = self._leaves(place, condition)
            waits = frozenset(self._activations[leaf] for leaf in leaves if leaf in self._activations)
            if place == 0 and not waits:
                break
            wordings.append(Wording(self._test(place, condition), leaves, waits))
            if not waits:
                break
        return tuple(wordings)

    def _leaves(self, place: int, condition: Condition) -> frozenset[int]:
        """The leaves of a condition, with those of the segments that it refers to."""
        own = frozenset(leaf_key(atom) for atom in atoms(condition))
        return own.union(*(self._leaves_of(place, name) for name in references(condition)))

    def _leaves_of(self, place: int, segment: str) -> frozenset[int]:
        known, key = self._leaves_known, (place, segment)
        if key not in known:
            known[key] = self._leaves(place, self._revisions[place].segments[segment])
        return known[key]

    def _test(self, place: int, condition: Condition) -> Test:
        """The newest wording refers to memberships; older ones refer to the conditions of their own revision."""
        return self._compile(condition, None if place == 0 else lambda name: self._test_of(place, name))

    def _test_of(self, place: int, segment: str) -> Test:
        known, key = self._tests_known, (place, segment)
        if key not in known:
            known[key] = self._test(place, self._revisions[place].segments[segment])
        return known[key]


def atoms(condition: Condition) -> list[EventCondition | FactCondition]:
    """The atomic conditions inside a condition, without references to segments."""
    match condition:
        case All(parts) | Any_(parts):
            return [atom for part in parts for atom in atoms(part)]
        case Not(part):
            return atoms(part)
        case SegmentRef():
            return []
    return [condition]


def references(condition: Condition) -> set[str]:
    """The segments that a condition refers to."""
    match condition:
        case All(parts) | Any_(parts):
            return {name for part in parts for name in references(part)}
        case Not(part):
            return references(part)
        case SegmentRef(segment):
            return {segment}
    return set()
