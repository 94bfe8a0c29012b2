"""Leaves: the atomic conditions, each with the least state that answers it exactly for ever.

The *evidence* that a leaf over events keeps is only ever joined: as sets where possible, else by source. So the answers
are the same whatever the order and repetition of events, and the merges of users. The state also has the leaf's truth,
and the next time at which that truth may change without an event; both hold until then. Times are microseconds UTC.

`key` is the hash of the canonical condition: renaming a segment, or writing the same condition twice, costs nothing.
The kinds are in `leaf_stamps`, `leaf_totals` and `leaf_sequence`; those in `leaf_facts` keep nothing.
"""

from collections.abc import Callable
from datetime import date
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from transforms.events.event import CALLS, RECEIPT, SESSION, Event
from transforms.segments.conditions import (
    ANY,
    Condition,
    Count,
    Distinct,
    Element,
    EventCondition,
    EventFilter,
    FactCondition,
    FirstLast,
    Missing,
    Sequence,
    Total,
    Where,
    filters_of,
)
from transforms.segments.evidence import Evidence, Kind, Origin
from transforms.segments.leaf_facts import Nobody, UserFacts, compile_facts
from transforms.segments.leaf_sequence import compile_sequence
from transforms.segments.leaf_stamps import compile_count, compile_distinct, compile_first_last, compile_missing
from transforms.segments.leaf_totals import compile_total
from transforms.segments.operators import TIME_OPERATORS, Operator, compile_test, time_test
from transforms.segments.values import compile_path

__all__ = ["AttributeLeaf", "EventLeaf", "Leaf", "LeafState", "compile_asked", "compile_leaf", "leaf_key", "matcher"]

#: The numbers of the filters that an event passes; for a single filter, whether it does.
Passed = bool | tuple[int, ...]
#: Every kind of leaf over events.
_KINDS: dict[type, Callable[[Any], Kind]] = {
    Count: compile_count,
    Distinct: compile_distinct,
    FirstLast: compile_first_last,
    Missing: compile_missing,
    Sequence: compile_sequence,
    Total: compile_total,
}


class LeafState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of one leaf for one user.

    `activation`: live events count only if they arrived at or after this time (0: from the beginning). `source` says
    where the evidence came from. `deadline` is when the truth may change without an event.
    """

    truth: bool
    deadline: int | None = None
    evidence: Evidence = ()
    activation: int = 0
    source: str = "live"


class EventLeaf:
    """A leaf over events. `names` are the names of the events that it counts, with `ANY` if it counts all.

    `passed` says which of its filters an event passes. Only if there are any is the state read.
    """

    def __init__(self, condition: EventCondition) -> None:
        self.key = leaf_key(condition)
        self.condition = condition
        self.filters = filters_of(condition)
        self.names = {events.name for events in self.filters}
        #: Leaves of one group are mostly touched together.
        self.group = min(self.names)
        matches = [matcher(events) for events in self.filters]
        # Nearly every leaf has one filter, and is asked for every event of the name.
        self.passed: Callable[[Event], Passed] = matches[0] if len(matches) == 1 else _passing(matches)
        self.zoned = isinstance(getattr(condition, "since", None), date)
        self._kind = _KINDS[type(condition)](condition)
        self.unseen = LeafState(*self._kind.evaluate((), 0, "UTC"))

    def add(self, state: LeafState, event: Event, message_hash: int, passed: Passed | None = None) -> Evidence:
        """The evidence after an event; the very same object if nothing changed. `message_hash` is that of its id.

        `passed` is given where it is known already.
        """
        evidence = state.evidence
        if passed is None:
            passed = self.passed(event)
        if event.arrival < state.activation:
            return evidence
        if passed is True:  # of a single filter, which nearly every leaf has
            return self._kind.add(evidence, (event.time, message_hash), 0, event.properties)  # type: ignore[no-any-return]
        for tag in passed or ():
            evidence = self._kind.add(evidence, (event.time, message_hash), tag, event.properties)
        return evidence

    def join(self, one: LeafState, other: LeafState, mine: str = "", theirs: str = "") -> LeafState:
        """The union of two users' evidence; the truth must be evaluated again.

        `mine` and `theirs` are the users' ids; without them both states are of the same user. If `other` is from a
        seed, `other.source` names it.
        """
        evidence = self._kind.join(one.evidence, other.evidence, Origin(mine, theirs, other.source))
        return msgspec.structs.replace(one, evidence=evidence)

    def evaluate(self, state: LeafState, evidence: Evidence, now: int, zone: str) -> LeafState:
        """The state with this evidence: its truth at `now`, and the next deadline."""
        truth, deadline = self._kind.evaluate(evidence, now, zone)
        return LeafState(truth, deadline, evidence, state.activation, state.source)


class AttributeLeaf:
    """A leaf over facts about the user: attributes, contacts, consent, identity, place. It keeps no evidence."""

    def __init__(self, condition: FactCondition) -> None:
        self.key = leaf_key(condition)
        self.condition = condition
        self.names, self._evaluate = compile_facts(condition)
        self.group = f"#{self.names[0]}"
        self.unseen = LeafState(*self._evaluate(Nobody(), 0))

    def evaluate(self, facts: UserFacts, now: int) -> LeafState:
        """The truth at `now` and the next deadline."""
        truth, deadline = self._evaluate(facts, now)
        return LeafState(truth, deadline)


Leaf = EventLeaf | AttributeLeaf


def compile_leaf(condition: Condition) -> Leaf:
    """Compile an atomic condition."""
    if isinstance(condition, EventCondition):
        return EventLeaf(condition)
    assert isinstance(condition, FactCondition)
    return AttributeLeaf(condition)


def leaf_key(condition: EventCondition | FactCondition) -> int:
    """The 8-byte hash of the canonical condition. Pinned by golden vectors: a running job's state is keyed by it."""
    text = msgspec.json.encode(condition.canonical)
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def matcher(events: EventFilter) -> Callable[[Event], bool]:
    """A compiled test whether an event passes a filter."""
    name, kind = events.name, events.type
    every = name == ANY
    kinds = (kind,) if kind is not None else CALLS if every else (*CALLS, RECEIPT, SESSION)
    if not events.where:
        return lambda event: (event.name == name or every) and event.type in kinds
    holds = _compile_where(events.where)

    def matches(event: Event) -> bool:
        return (event.name == name or every) and event.type in kinds and holds(event.properties)

    return matches


def _compile_where(where: Where) -> Callable[[dict[str, Any]], bool]:
    """A compiled test of properties, or of an object among them."""
    tests = [(compile_path(path), compile_asked(asked)) for path, asked in where]
    return lambda properties: all(test(path(properties)) for path, test in tests)


def compile_asked(asked: Operator | Element) -> Callable[[list[Any]], bool]:
    """A compiled test whether some value at a path is as asked. It is made once, so times need no clock and no zone."""
    if isinstance(asked, Operator):
        return partial(time_test, asked, now=0, zone="UTC") if asked.name in TIME_OPERATORS else compile_test(asked)
    holds = _compile_where(asked.where)
    return lambda elements: any(holds(element if isinstance(element, dict) else {}) for element in elements)


def _passing(filters: list[Callable[[Event], bool]]) -> Callable[[Event], Passed]:
    return lambda event: tuple(tag for tag, matches in enumerate(filters) if matches(event))
