"""Conditions as records in canonical form.

Two conditions that mean the same have equal canonical forms, and so share one leaf and its state.
"""

from datetime import date
from typing import Any

import msgspec

from transforms.events.times import write_time
from transforms.segments.operators import Operator

__all__ = [
    "All",
    "Any_",
    "Attribute",
    "Condition",
    "Consented",
    "Count",
    "EventFilter",
    "FirstLast",
    "Identified",
    "Missing",
    "Not",
    "Reachable",
    "SegmentRef",
    "describe_since",
]


class EventFilter(msgspec.Struct, frozen=True):
    """Which events count: by name, type (None for track, page and screen alike) and properties."""

    name: str
    type: str | None = None
    where: tuple[tuple[str, Operator], ...] = ()

    @property
    def canonical(self) -> list[Any]:
        """Part of the leaf's key."""
        return [self.name, self.type, [[path, *operator.canonical] for path, operator in self.where]]


class Count(msgspec.Struct, frozen=True):
    """How many events match, in (now - within, now] or at or after `since`, is in [low, high] (None: no limit)."""

    events: EventFilter
    low: int
    high: int | None
    within: int | None = None
    since: int | date | None = None


class FirstLast(msgspec.Struct, frozen=True):
    """The first or last matching event of all time is younger than `age`, or with `older` at least that old."""

    events: EventFilter
    last: bool
    older: bool
    age: int


class Missing(msgspec.Struct, frozen=True):
    """The newest A is at least `age` old, lies in its own window, and no B came at its instant or later."""

    events: EventFilter
    missing: EventFilter
    age: int
    within: int | None = None
    since: int | date | None = None


class Attribute(msgspec.Struct, frozen=True):
    """An attribute satisfies an operator. `name` is the attribute, `path` what follows inside its value."""

    name: str
    path: str
    operator: Operator


class Identified(msgspec.Struct, frozen=True):
    """The user has a user id."""


class Reachable(msgspec.Struct, frozen=True):
    """The user has a live address on a channel."""

    channel: str


class Consented(msgspec.Struct, frozen=True):
    """The user lets a topic use a channel."""

    topic: str
    channel: str


class SegmentRef(msgspec.Struct, frozen=True):
    """Membership in another segment."""

    segment: str


class All(msgspec.Struct, frozen=True):
    """Every part holds."""

    parts: tuple["Condition", ...]


class Any_(msgspec.Struct, frozen=True):
    """One part holds at least."""

    parts: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: "Condition"


Condition = All | Any_ | Not | SegmentRef | Count | FirstLast | Missing | Attribute | Identified | Reachable | Consented


def describe_since(since: int | date) -> str:
    """A `since` as text for a key: a date stays a date, since it means another instant in each zone."""
    return since.isoformat() if isinstance(since, date) else write_time(since)
