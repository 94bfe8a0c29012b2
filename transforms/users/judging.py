"""Leaves of one open user: judged as events, facts and time change, and those that wait for a seed.

Times are microseconds UTC.
"""

from collections.abc import Collection, Iterable

import msgspec

from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.segments.index import SegmentIndex
from transforms.segments.leaf_states import LeafStates
from transforms.segments.leaves import EventLeaf, LeafState
from transforms.segments.warming import Test
from transforms.users.facts import ProfileFacts
from transforms.users.user import Seeds, SeedState, warming_of

__all__ = ["Judging"]

_NOBODY: dict[str, SeedState] = {}


class Judging(ProfileFacts):
    """The part of a `UserEditor` that keeps what its leaves say. `_tests` are of segments, for what is warming."""

    __slots__ = ("_tests", "warming")

    clock: int
    version: int
    early: dict[int, dict[str, int]]
    leaves: LeafStates
    seeds: Seeds
    warming: frozenset[int]
    definitions: Definitions
    index: SegmentIndex
    _tests: tuple[Test, ...]

    def update_leaves(self, event: Event, message_hash: int, facts: Collection[str]) -> list[int]:
        """Judge the leaves that an event and changed facts touch; returns the keys whose truth changed."""
        changed = self.update_leaves_of_facts(facts)
        opened, put, clock = self.leaves.opened, self.leaves.put, self.clock
        asked = self.index.events.get(event.name, self.index.anything)
        if self.seeds:
            self._activate(asked)
        for leaf in asked:
            if not (passed := leaf.passed(event)):
                continue
            state = opened[leaf.key]
            evidence = leaf.add(state, event, message_hash, passed)
            if evidence is state.evidence:
                continue
            zone = self.zone if leaf.zoned else ""  # which has to be found, for nearly no leaf
            if put(leaf.key, leaf.evaluate(state, evidence, clock, zone)):
                changed.append(leaf.key)
        return changed

    def update_leaves_of_facts(self, facts: Collection[str]) -> list[int]:
        """Judge the leaves that changed facts touch."""
        if not facts:
            return []
        self._zone = None
        touched = {leaf.key for fact in facts for leaf in self.index.facts.get(fact, ())}
        return [key for key in touched if self._evaluate(key, self.clock)]

    def _join_leaf(self, leaf: EventLeaf, theirs: LeafState, user: str) -> list[int]:
        """Join evidence of a user, or of the seed of one, into a leaf; returns its key if its truth changed."""
        self._activate((leaf,))
        mine = self.leaves.opened[leaf.key]
        joined = leaf.join(mine, theirs, self.id, user)
        changed = self.leaves.put(leaf.key, leaf.evaluate(joined, joined.evidence, self.clock, self.zone))
        return [leaf.key] if changed else []

    def _activate(self, leaves: Iterable[EventLeaf]) -> None:
        """Let leaves that are newer than the user count from their activation on, before they count anything."""
        for leaf in leaves:
            at = self.definitions.activations.get(leaf.key)
            if at is None or leaf.key in self.leaves:
                continue
            if self.seeds.get(at, _NOBODY).get(self.id, SeedState.WHOLE) is not SeedState.WHOLE:
                self.leaves.put(leaf.key, msgspec.structs.replace(leaf.unseen, activation=at))

    def note_early(self, arrival: int) -> None:
        """Note that something that arrived at a time is applied: a seed that was made before lacks it."""
        for at in self.warming:
            if arrival < at:
                self.early[at] = self.early.get(at, {}) | {self.id: self.version + 1}

    def _count_early(self, at: int) -> None:
        """Let what arrived before an activation count from now on: the seed had all that was applied until now."""
        for key, since in self.definitions.activations.items():
            if since == at and key in self.leaves:
                self.leaves.put(key, msgspec.structs.replace(self.leaves.opened[key], activation=0))

    def _await(self, seeds: Seeds) -> bool:
        """Note what is known of seeds; whether other leaves are warming now than before."""
        for at, states in seeds.items():
            mine = self.seeds.get(at, {})
            if states:
                self.seeds[at] = mine | {name: max(state, mine.get(name, state)) for name, state in states.items()}
        return self._note_warming()

    def _note_warming(self) -> bool:
        """Whether other leaves are warming now than before."""
        before, self.warming = self.warming, warming_of(self.seeds)
        if self.early:
            for at in self.early.keys() - self.warming:
                del self.early[at]
        self._tests = self.index.tests_while(self.warming)
        return before != self.warming

    def _evaluate(self, key: int, now: int) -> bool:
        """Judge a leaf again; whether its truth changed."""
        leaf = self.index.leaves[key]
        if isinstance(leaf, EventLeaf):
            if self.seeds:  # a zone that changes may be the first that a new leaf hears of
                self._activate((leaf,))
            state = self.leaves.opened[key]
            return self.leaves.put(key, leaf.evaluate(state, state.evidence, now, self.zone))
        return self.leaves.put(key, leaf.evaluate(self, now))
