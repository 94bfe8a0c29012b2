"""Leaves over sequences: events one after another."""

from typing import Any

from transforms.segments.conditions import Sequence
from transforms.segments.evidence import Groups, Kind, Origin, Stamp, Stamps
from transforms.segments.leaf_stamps import newest_stamps

__all__ = ["MAX_EVENTS", "compile_sequence", "steps_reached"]

#: LANGUAGE: a sequence looks at the newest 256 events of each step.
MAX_EVENTS = 256


def compile_sequence(condition: Sequence) -> Kind:
    """Keeps the newest 256 stamps of each step."""
    steps, within = condition.steps, condition.within

    def add(kept: Groups, stamp: Stamp, tag: int, _properties: dict[str, Any]) -> Groups:
        groups = kept.stamps if kept else {}
        before = groups.get(tag, ())
        after = newest_stamps(before, stamp, MAX_EVENTS)
        return kept if after is before else Groups({**groups, tag: after})

    def join(one: Groups, other: Groups, _origin: Origin) -> Groups:
        for tag, stamps in other.stamps.items() if other else ():
            for stamp in stamps:
                one = add(one, stamp, tag, {})
        return one

    def evaluate(kept: Groups, now: int, _zone: str) -> tuple[bool, int | None]:
        reached = steps_reached(condition, kept)
        if len(reached) < len(steps):
            return False, None
        end = None if within is None else reached[-1] + within
        return end is None or end > now, end if end is not None and end > now else None

    return Kind(add, join, evaluate)


def steps_reached(condition: Sequence, kept: Groups) -> list[int]:
    """How far the events have come, whatever the window: the newest time of each step that was reached."""
    groups = kept.stamps if kept else {}
    reached = groups.get(0, ())[::-1]
    found: list[int] = []
    for tag, step in enumerate(condition.steps):
        reached = _follow(reached, groups.get(tag, ())[::-1], step.within) if tag else reached
        if not reached:
            break
        found.append(reached[-1][0])
    return found


def _follow(reached: Stamps, stamps: Stamps, within: int | None) -> Stamps:
    """The stamps that come after a reached one, less than `within` later; oldest first."""
    found: list[Stamp] = []
    index = 0
    for stamp in stamps:
        while index < len(reached) and reached[index] < stamp:
            index += 1
        # The newest of those before is the nearest.
        if index and (within is None or stamp[0] - reached[index - 1][0] < within):
            found.append(stamp)
    return tuple(found)
