"""Leaves of one open user: what they keep and say as events, facts and time change.

Times are microseconds UTC.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from transforms.campaigns.load import Definitions
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.trigger import Trigger
from transforms.events.event import Event
from transforms.segments.evidence import pieces, without
from transforms.segments.leaf_states import KeptLeaves, LeafStates, PackedLeaves, earliest
from transforms.segments.leaves import EventLeaf, LeafState
from transforms.users.user import Seed, SeedState, User

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["Leaves"]

_NOBODY: dict[str, SeedState] = {}


class Leaves(Part):
    """The states of leaves, being changed. `changed` are those whose truth changed while much was being
    joined or cut.
    """

    fields = ("leaves",)
    given = ("definitions",)
    __slots__ = ("_definitions", "changed", "states")

    def __init__(self, kept: KeptLeaves, definitions: Definitions) -> None:
        self._definitions = definitions
        self.states = LeafStates(kept, definitions.index.leaves)
        self.changed: list[int] = []

    def pack(self, _clock: int) -> tuple[PackedLeaves]:
        """All states, in pages."""
        return (self.states.pack(),)

    def update(self, event: Event, message_hash: int, facts: Collection[str], user: "UserEditor") -> list[int]:
        """Evaluate the leaves that an event and changed facts touch; returns the keys whose truth changed."""
        changed = self.update_facts(facts, user) if facts else []
        opened, put, clock, index = self.states.opened, self.states.put, user.clock, self._definitions.index
        asked = index.events.get(event.name, index.anything)
        if user.seeds.seeds:
            self._activate(asked, user)
        for leaf in asked:
            if not (passed := leaf.passed(event)):
                continue
            state = opened[leaf.key]
            evidence = leaf.add(state, event, message_hash, passed)
            if evidence is state.evidence:
                continue
            zone = user.zone if leaf.zoned else ""  # which has to be found, for nearly no leaf
            if put(leaf.key, leaf.evaluate(state, evidence, clock, zone)):
                changed.append(leaf.key)
        return changed

    def update_facts(self, facts: Collection[str], user: "UserEditor") -> list[int]:
        """Evaluate the leaves that changed facts touch; returns the keys whose truth changed."""
        if not facts:
            return []
        user.known.zone = None
        touched = {leaf.key for fact in facts for leaf in self._definitions.index.facts.get(fact, ())}
        return [key for key in touched if self._evaluate(key, user.clock, user)]

    def join_seed(self, seed: Seed, user: "UserEditor") -> None:
        """Take what came before an activation, for the leaves that came with it."""
        activations = self._definitions.activations
        for key, evidence in seed.leaves.items():
            leaf = self._definitions.index.leaves.get(key)
            if isinstance(leaf, EventLeaf) and activations.get(key) == seed.before:
                theirs = LeafState(truth=False, evidence=evidence, source=seed.name)
                self._join_leaf(leaf, theirs, seed.user, user)
        if seed.version >= 0 and seed.user == user.id:  # it had all that was applied until now
            for key, since in activations.items():
                if since == seed.before and key in self.states:
                    self.states.put(key, msgspec.structs.replace(self.states.opened[key], activation=0))

    def forget(self, keys: Collection[int]) -> None:
        """Forget what some leaves keep: they answer as for an unknown user."""
        self.states = self.states.only({key for key, _ in self.states.items() if key not in keys})

    @staticmethod
    def deadline_of(stored: User) -> int | None:
        """When the truth of a leaf may change by itself, as stored."""
        return earliest(stored.leaves)

    @property
    def deadline(self) -> int | None:
        """When the truth of a leaf may change by itself; it may turn out that it does not."""
        return self.states.first

    def take_due(self, due: int) -> set[int]:
        """The leaves whose deadline it is."""
        return self.states.pop_due(due) if self.states.first == due else set()

    def come_due(self, taken: set[int], _due: int, user: "UserEditor", trigger: Trigger) -> None:
        """Evaluate them, and carry what changed to segments."""
        changed = [key for key in taken if self._evaluate(key, user.clock, user)]
        for key in taken:
            self.states.plan(key)
        user.memberships.resolve(changed, user, trigger)

    @staticmethod
    def due_of(stored: User, until: int) -> Iterator[tuple[str, int]]:
        """The leaves whose truth may change by then."""
        for key, state in LeafStates(stored.leaves).items():
            if state.deadline is not None and state.deadline <= until:
                yield "leaf", key

    def skip_due(self, key: int, user: "UserEditor") -> None:
        """Forget what a leaf keeps."""
        self.forget({key})
        user.memberships.resolve([key], user, Trigger("truncated"))

    def redefine(self, user: "UserEditor", _trigger: Trigger) -> None:
        """Keep what the definitions ask, and evaluate what may answer otherwise by them."""
        index, published = user.index, max(user.clock, user.definitions.published)
        self.states = self.states.only(index.leaves)
        for key, leaf in index.leaves.items():
            if isinstance(leaf, EventLeaf):
                if leaf.zoned and key in self.states:  # the zone of who names none may be another now
                    self._evaluate(key, user.clock, user)
            else:
                # What a new leaf would have said before it was published is history, and must not trigger anything.
                self._evaluate(key, user.clock if key in self.states else published, user)

    def join(self, theirs: User, user: "UserEditor", _arrival: int) -> None:
        """The union of what both keep."""
        for key, state in LeafStates(theirs.leaves).items():
            leaf = self._definitions.index.leaves.get(key)
            if isinstance(leaf, EventLeaf):
                self._join_leaf(leaf, state, theirs.id, user)

    def pieces(self, clock: int) -> Iterator[Piece]:
        """What each leaf keeps, piece by piece."""
        for key, state in self.states.items():
            for piece in pieces(state.evidence):
                time = clock if piece.time is None else piece.time
                yield Piece.of(time, PieceGroup.EVIDENCE, "marks", (key, piece.key), piece.content)

    def drop(self, lost: Lost, user: "UserEditor") -> None:
        """Evaluate leaves again by what is left of their evidence, and forget those without any."""
        left: dict[int, set[Any]] = defaultdict(set)
        for key, piece in lost["marks"]:
            left[key].add(piece)
        leaves = self._definitions.index.leaves
        for key, gone in left.items():
            state, leaf = self.states.opened[key], leaves.get(key)
            evidence = without(state.evidence, gone)
            if not isinstance(leaf, EventLeaf):
                self.states.put(key, msgspec.structs.replace(state, evidence=evidence))
            elif self.states.put(key, leaf.evaluate(state, evidence, user.clock, user.zone)):
                self.changed.append(key)
        told = {key for key, state in self.states.items() if key not in leaves or state != leaves[key].unseen}
        self.states = self.states.only(told)

    def _join_leaf(self, leaf: EventLeaf, theirs: LeafState, source: str, user: "UserEditor") -> None:
        """Join evidence of a user, or of the seed of one, into a leaf."""
        self._activate((leaf,), user)
        joined = leaf.join(self.states.opened[leaf.key], theirs, user.id, source)
        if self.states.put(leaf.key, leaf.evaluate(joined, joined.evidence, user.clock, user.zone)):
            self.changed.append(leaf.key)

    def _activate(self, leaves: Iterable[EventLeaf], user: "UserEditor") -> None:
        """Let leaves that are newer than the user count only from their activation on."""
        for leaf in leaves:
            at = self._definitions.activations.get(leaf.key)
            if at is None or leaf.key in self.states:
                continue
            if user.seeds.seeds.get(at, _NOBODY).get(user.id, SeedState.WHOLE) is not SeedState.WHOLE:
                self.states.put(leaf.key, msgspec.structs.replace(leaf.unseen, activation=at))

    def _evaluate(self, key: int, now: int, user: "UserEditor") -> bool:
        """Evaluate a leaf again; returns whether its truth changed."""
        leaf = self._definitions.index.leaves[key]
        if isinstance(leaf, EventLeaf):
            if user.seeds.seeds:  # a zone that changes may be the first that a new leaf hears of
                self._activate((leaf,), user)
            state = self.states.opened[key]
            return self.states.put(key, leaf.evaluate(state, state.evidence, now, user.zone))
        return self.states.put(key, leaf.evaluate(user, now))
