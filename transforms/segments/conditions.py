"""Conditions as records in canonical form.

Two conditions that mean the same have equal canonical forms, and so share one leaf and its state.
"""

from datetime import date
from typing import Any

import msgspec

from transforms.events.times import write_time
from transforms.segments.operators import Operator

__all__ = [
    "ANY",
    "All",
    "Any_",
    "Attribute",
    "Bucket",
    "Condition",
    "Consented",
    "Count",
    "Distinct",
    "Element",
    "EventCondition",
    "EventFilter",
    "FactCondition",
    "FirstLast",
    "Identified",
    "Missing",
    "Near",
    "Not",
    "Reachable",
    "SegmentRef",
    "Sequence",
    "SequenceStep",
    "Since",
    "Total",
    "Where",
    "filters_of",
    "paths_of",
]

#: The name that means every event.
ANY = "any"

#: Microseconds UTC, or a date, which is a different instant in each zone; None: no limit.
Since = int | date | None


class Element(msgspec.Struct, frozen=True):
    """What one element of a list must satisfy, all of it at once. Its paths begin in the element.

    An element that is no object has nothing at any path.
    """

    where: "Where"

    @property
    def canonical(self) -> list[Any]:
        """Part of the leaf's key."""
        return ["element", _canonical_where(self.where)]


#: What properties must satisfy: paths, each with an operator or, where the path ends in `[]`, with an element.
Where = tuple[tuple[str, Operator | Element], ...]


class EventFilter(msgspec.Struct, frozen=True):
    """Which events count: by name, type (None for track, page and screen alike) and properties.

    The name `ANY` takes every track, page and screen call, and no receipts.
    """

    name: str
    type: str | None = None
    where: Where = ()

    @property
    def canonical(self) -> list[Any]:
        """Part of the leaf's key."""
        return [self.name, self.type, _canonical_where(self.where)]


class Count(msgspec.Struct, frozen=True):
    """The number of matching events in (now - within, now], or since `since`, is in [low, high] (None: no limit).

    With `same`, the number of those that share a value of that path.
    """

    events: EventFilter
    low: int
    high: int | None
    within: int | None = None
    since: Since = None
    same: str | None = None

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        window = [self.within, _canonical_since(self.since)]
        return ["count", self.events.canonical, self.low, self.high, *window, *_canonical_same(self.same)]


class FirstLast(msgspec.Struct, frozen=True):
    """The first or last matching event of all time is younger than `age`, or with `older` at least that old."""

    events: EventFilter
    last: bool
    older: bool
    age: int

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["last" if self.last else "first", self.events.canonical, self.older, self.age]


class Missing(msgspec.Struct, frozen=True):
    """The newest A is at least `age` old, lies in its own window, and no B came at its instant or later.

    With `same`, among the events that share a value of that path.
    """

    events: EventFilter
    missing: EventFilter
    age: int
    within: int | None = None
    since: Since = None
    same: str | None = None

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        window = [self.age, self.within, _canonical_since(self.since)]
        return ["missing", self.events.canonical, self.missing.canonical, *window, *_canonical_same(self.same)]


class Total(msgspec.Struct, frozen=True):
    """`sum`, `average`, `minimum` or `maximum` of the numbers at a path, or a `count` beyond a thousand (no path).

    With `same`, of the events that share a value of that path.
    """

    events: EventFilter
    aggregate: str
    of: str
    operator: Operator
    within: int | None = None
    since: Since = None
    same: str | None = None

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        asked = [self.aggregate, self.of, *self.operator.canonical]
        return ["total", self.events.canonical, *asked, self.within, _canonical_since(self.since), self.same]


class Distinct(msgspec.Struct, frozen=True):
    """The number of distinct values that matching events have at a path is in [low, high] (None: no limit)."""

    events: EventFilter
    of: str
    low: int
    high: int | None
    within: int | None = None
    since: Since = None

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        window = [self.within, _canonical_since(self.since)]
        return ["distinct", self.events.canonical, self.of, self.low, self.high, *window]


class SequenceStep(msgspec.Struct, frozen=True):
    """One event of a sequence, less than `within` after the one before."""

    events: EventFilter
    within: int | None = None


class Sequence(msgspec.Struct, frozen=True):
    """Events one after another, the last in (now - within, now]; others may come between."""

    steps: tuple[SequenceStep, ...]
    within: int | None = None

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["sequence", [[step.events.canonical, step.within] for step in self.steps], self.within]


class Attribute(msgspec.Struct, frozen=True):
    """An attribute satisfies an operator. `name` is the attribute, `path` what follows inside its value."""

    name: str
    path: str
    operator: Operator

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["attribute", self.name, self.path, *self.operator.canonical]


class Identified(msgspec.Struct, frozen=True):
    """The user has a user id."""

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["identified"]


class Reachable(msgspec.Struct, frozen=True):
    """The user has a live address on a channel."""

    channel: str

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["reachable", self.channel]


class Consented(msgspec.Struct, frozen=True):
    """The user lets a topic use a channel."""

    topic: str
    channel: str

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["consented", self.topic, self.channel]


class Bucket(msgspec.Struct, frozen=True):
    """The user's percentile for a salt is in [low, high)."""

    salt: str
    low: float
    high: float

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["bucket", self.salt, self.low, self.high]


class Near(msgspec.Struct, frozen=True):
    """A place is at most `within_km` away. `name` is the attribute, `path` what follows inside its value."""

    name: str
    path: str
    latitude: float
    longitude: float
    within_km: float

    @property
    def canonical(self) -> list[Any]:
        """What the leaf's key is made of."""
        return ["near", self.name, self.path, self.latitude, self.longitude, self.within_km]


class SegmentRef(msgspec.Struct, frozen=True):
    """Membership in another segment."""

    segment: str


class All(msgspec.Struct, frozen=True):
    """Every part holds."""

    parts: tuple["Condition", ...]


class Any_(msgspec.Struct, frozen=True):
    """At least one part holds."""

    parts: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: "Condition"


#: Conditions on events, and conditions on facts.
EventCondition = Count | FirstLast | Missing | Total | Distinct | Sequence
FactCondition = Attribute | Identified | Reachable | Consented | Bucket | Near
Condition = All | Any_ | Not | SegmentRef | EventCondition | FactCondition


def filters_of(condition: EventCondition) -> list[EventFilter]:
    """The events that a condition asks about: by step, or A and B of a missing event."""
    if isinstance(condition, Sequence):
        return [step.events for step in condition.steps]
    return [condition.events, condition.missing] if isinstance(condition, Missing) else [condition.events]


def paths_of(condition: EventCondition) -> list[str]:
    """The paths of properties that a condition asks for, besides those of `where`."""
    return [path for name in ("of", "same") if (path := getattr(condition, name, None))]


def _canonical_where(where: Where) -> list[Any]:
    return [[path, *asked.canonical] for path, asked in where]


def _canonical_since(since: Since) -> str | None:
    """A date stays a date."""
    if since is None:
        return None
    return since.isoformat() if isinstance(since, date) else write_time(since)


def _canonical_same(same: str | None) -> list[str]:
    """Conditions without `same` have the keys that they had before there was `same`."""
    return [] if same is None else [same]
