"""Leaves: the atomic conditions, each with the least state that answers it exactly for ever after.

A leaf's state holds *marks*, (time, 8-byte hash of the message id). Marks are only ever joined as sets
(the newest n, the oldest, the newest), so any order and repetition of events, and any merge of users, ends in the same
state. The state also remembers the leaf's truth and the next time at which that truth may change without an
event; both hold until then. Times are microseconds UTC.

`key` is the hash of the canonical condition: renaming a segment, or writing the same condition twice, costs nothing.
"""

from collections.abc import Callable
from datetime import date
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from transforms.events.event import RECEIPT, Event
from transforms.identity.profile import KNOWN_ZONE, Profile
from transforms.segments.conditions import (
    Attribute,
    Condition,
    Consented,
    Count,
    EventFilter,
    FirstLast,
    Identified,
    Missing,
    Reachable,
    describe_since,
)
from transforms.segments.operators import TIME_OPERATORS, compile_test, next_change, time_test
from transforms.segments.values import compile_path, start_of_day

__all__ = ["AttributeLeaf", "EventLeaf", "Facts", "Leaf", "LeafState", "Mark", "Marks", "compile_leaf", "matcher"]

Mark = tuple[int, int]
Marks = tuple[Mark, ...]

#: Names of facts that are no attributes.
REACHABLE, CONSENT, IDENTIFIED = "#reachable", "#consent", "#identified"
ZONE_NAMES = ("timezone", KNOWN_ZONE)


class LeafState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a user's state holds of one leaf.

    `activation`: live events count only if they arrived at or after this time (0: from the beginning). `source` says
    where the marks came from. `deadline` is when the truth may change without an event.
    """

    truth: bool
    deadline: int | None = None
    marks: Marks = ()
    activation: int = 0
    source: str = "live"


class Facts(Protocol):
    """What attribute leaves read of a user."""

    def value(self, name: str) -> Any:
        """An attribute's value or None."""

    def is_identified(self) -> bool:
        """Whether there is a user id."""

    def is_reachable(self, channel: str) -> bool:
        """Whether there is a live address."""

    def is_consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel."""

    @property
    def zone(self) -> str:
        """The user's time zone."""


class EventLeaf:
    """A leaf over events: `Count`, `FirstLast` or `Missing`."""

    def __init__(self, condition: Count | FirstLast | Missing) -> None:
        self.key = leaf_key(condition)
        self.condition = condition
        self.filters = [condition.events]
        if isinstance(condition, Missing):
            self.filters.append(condition.missing)
        self.names = {events.name for events in self.filters}
        self._matches = [matcher(events) for events in self.filters]
        self.zoned = isinstance(getattr(condition, "since", None), date)
        self._take, self._judge = _compile(condition)
        self.unseen = LeafState(*self._judge((), 0, "UTC"))

    def take(self, state: LeafState, event: Event, mark: int) -> Marks:
        """The marks after an event, the very same object if nothing changed. `mark` is the hash of its message id."""
        marks = state.marks
        if event.arrival >= state.activation:
            for tag, matches in enumerate(self._matches):
                if matches(event):
                    marks = self._take(marks, (event.time, mark), tag)
        return marks

    def join(self, one: LeafState, other: LeafState) -> LeafState:
        """The union of two users' marks; the truth must be judged again."""
        marks = one.marks
        for mark in other.marks:
            marks = self._take(marks, mark, mark[1])
        return msgspec.structs.replace(one, marks=marks)

    def judge(self, state: LeafState, marks: Marks, now: int, zone: str) -> LeafState:
        """The state with these marks, its truth at `now` and the next deadline."""
        truth, deadline = self._judge(marks, now, zone)
        return LeafState(truth, deadline, marks, state.activation, state.source)


class AttributeLeaf:
    """A leaf over what is known about the user: attributes, contacts, consent, identity. It keeps no marks."""

    def __init__(self, condition: Attribute | Identified | Reachable | Consented) -> None:
        self.key = leaf_key(condition)
        self.condition = condition
        self.names, self._judge = _compile_attribute(condition)
        self.unseen = LeafState(*self._judge(_Nobody(), 0))

    def judge(self, facts: Facts, now: int) -> LeafState:
        """The truth at `now` and the next deadline."""
        truth, deadline = self._judge(facts, now)
        return LeafState(truth, deadline)


Leaf = EventLeaf | AttributeLeaf

_Take = Callable[[Marks, Mark, int], Marks]
_Judge = Callable[[Marks, int, str], tuple[bool, int | None]]


class _Nobody:
    """The facts of a user about whom nothing is known."""

    zone = "UTC"

    def value(self, _name: str) -> Any:
        return None

    def is_identified(self) -> bool:
        return False

    def is_reachable(self, channel: str) -> bool:
        return Profile().reachable(channel, identified=False)

    def is_consented(self, topic: str, channel: str) -> bool:
        return Profile().consented(topic, channel)


def compile_leaf(condition: Condition) -> Leaf:
    """Compile an atomic condition."""
    if isinstance(condition, Count | FirstLast | Missing):
        return EventLeaf(condition)
    assert isinstance(condition, Attribute | Identified | Reachable | Consented)
    return AttributeLeaf(condition)


def leaf_key(condition: Condition) -> int:
    """The 8-byte hash of the canonical condition. Pinned by golden vectors: a running job's state is keyed by it."""
    text = msgspec.json.encode(_canonical(condition))
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def matcher(events: EventFilter) -> Callable[[Event], bool]:
    """Whether an event is one of these; compiled."""
    name, kind = events.name, events.type
    tests = [
        (compile_path(path), compile_test(operator)) for path, operator in events.where if not _timed(operator.name)
    ]
    timed = [(compile_path(path), operator) for path, operator in events.where if _timed(operator.name)]
    kinds = ("track", "page", "screen", RECEIPT) if kind is None else (kind,)
    if not tests and not timed:
        return lambda event: event.name == name and event.type in kinds

    def matches(event: Event) -> bool:
        if event.name != name or event.type not in kinds:
            return False
        properties = event.properties
        return all(test(path(properties)) for path, test in tests) and all(
            time_test(operator, path(properties), 0, "UTC") for path, operator in timed
        )

    return matches


def _timed(operator: str) -> bool:
    return operator in TIME_OPERATORS


def _canonical(condition: Condition) -> list[Any]:
    match condition:
        case Count(events, low, high, within, since):
            return ["count", events.canonical, low, high, within, _since(since)]
        case FirstLast(events, last, older, age):
            return ["last" if last else "first", events.canonical, older, age]
        case Missing(events, missing, age, within, since):
            return ["missing", events.canonical, missing.canonical, age, within, _since(since)]
        case Attribute(_, path, operator):
            return ["attribute", condition.name, path, *operator.canonical]
        case Reachable(channel):
            return ["reachable", channel]
        case Consented(topic, channel):
            return ["consented", topic, channel]
        case Identified():
            return ["identified"]
    raise TypeError(f"not a leaf: {condition}")


def _since(since: int | date | None) -> str | None:
    return None if since is None else describe_since(since)


def _compile(condition: Count | FirstLast | Missing) -> tuple[_Take, _Judge]:
    if isinstance(condition, Count):
        return _compile_count(condition)
    if isinstance(condition, FirstLast):
        return _compile_first_last(condition)
    return _compile_missing(condition)


def _floor(within: int | None, since: int | date | None) -> Callable[[int, str], int] | None:
    """The time that an event must be later than to count at `now`."""
    if within is not None:
        return lambda now, _zone: now - within
    if isinstance(since, date):
        return lambda _now, zone: start_of_day(since, zone) - 1
    if since is not None:
        return lambda _now, _zone: since - 1
    return None


def _compile_count(condition: Count) -> tuple[_Take, _Judge]:
    """Keeps the newest n marks, n being the largest count that makes a difference (1 to 1,001)."""
    low, high, within = condition.low, condition.high, condition.within
    keep = max(1, low, 0 if high is None else high + 1)
    floor = _floor(within, condition.since)

    def take(marks: Marks, mark: Mark, _tag: int) -> Marks:
        if keep == 1:
            return (mark,) if not marks or mark > marks[0] else marks
        if mark in marks or (len(marks) == keep and mark < marks[-1]):
            return marks
        return tuple(sorted((*marks, mark), reverse=True)[:keep])

    def judge(marks: Marks, now: int, zone: str) -> tuple[bool, int | None]:
        least = None if floor is None else floor(now, zone)
        deadline = None
        reached = []
        for bound in (low, None if high is None else high + 1):
            if bound is None or bound == 0:
                reached.append(bound == 0)
                continue
            holds = len(marks) >= bound and (least is None or marks[bound - 1][0] > least)
            reached.append(holds)
            if holds and within is not None:
                end = marks[bound - 1][0] + within
                deadline = end if deadline is None or end < deadline else deadline
        return reached[0] and not reached[1], deadline

    return take, judge


def _compile_first_last(condition: FirstLast) -> tuple[_Take, _Judge]:
    """Keeps one mark, the oldest or the newest."""
    last, older, age = condition.last, condition.older, condition.age

    def take(marks: Marks, mark: Mark, _tag: int) -> Marks:
        return (mark,) if not marks or (mark > marks[0] if last else mark < marks[0]) else marks

    def judge(marks: Marks, now: int, _zone: str) -> tuple[bool, int | None]:
        if not marks:
            return False, None
        turn = marks[0][0] + age
        return (now >= turn) is older, turn if turn > now else None

    return take, judge


def _compile_missing(condition: Missing) -> tuple[_Take, _Judge]:
    """Keeps the newest time of A and of B, as marks (time, 0) and (time, 1)."""
    age, within = condition.age, condition.within
    floor = _floor(within, condition.since)

    def take(marks: Marks, mark: Mark, tag: int) -> Marks:
        for index, (time, kept) in enumerate(marks):
            if kept == tag:
                return marks if time >= mark[0] else (*marks[:index], (mark[0], tag), *marks[index + 1 :])
        return tuple(sorted((*marks, (mark[0], tag)), key=lambda kept: kept[1]))

    def judge(marks: Marks, now: int, zone: str) -> tuple[bool, int | None]:
        if not marks or marks[0][1] != 0:
            return False, None
        begun = marks[0][0]
        if len(marks) == 2 and marks[1][0] >= begun:
            return False, None
        inside = floor is None or begun > floor(now, zone)
        ends = (begun + age, None if within is None else begun + within)
        deadline = min((end for end in ends if end is not None and end > now), default=None)
        return inside and now >= begun + age, deadline

    return take, judge


_JudgeFacts = Callable[[Facts, int], tuple[bool, int | None]]


def _compile_attribute(
    condition: Attribute | Identified | Reachable | Consented,
) -> tuple[tuple[str, ...], _JudgeFacts]:
    if isinstance(condition, Identified):
        return (IDENTIFIED,), lambda facts, _now: (facts.is_identified(), None)
    if isinstance(condition, Reachable):
        channel = condition.channel
        names = (REACHABLE, IDENTIFIED, "email", "line_id")
        return names, lambda facts, _now: (facts.is_reachable(channel), None)
    if isinstance(condition, Consented):
        return (CONSENT,), lambda facts, _now: (facts.is_consented(condition.topic, condition.channel), None)
    name, operator = condition.name, condition.operator
    path = compile_path(condition.path) if condition.path else None

    def values(facts: Facts) -> list[Any]:
        value = facts.value(name)
        if value is None:
            return []
        return [value] if path is None else path({name: value})

    if _timed(operator.name):

        def judge(facts: Facts, now: int) -> tuple[bool, int | None]:
            found, zone = values(facts), facts.zone
            return time_test(operator, found, now, zone), next_change(operator, found, now, zone)

        return (name, *ZONE_NAMES), judge
    test = compile_test(operator)
    return (name,), lambda facts, _now: (test(values(facts)), None)
