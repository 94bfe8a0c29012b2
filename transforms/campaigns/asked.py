"""Attributes that everybody has who is sent a message: the conditions on the way to it would not hold without them."""

from collections.abc import Iterable, Iterator

from transforms.campaigns.definitions import Campaign, Step
from transforms.campaigns.load import Definitions
from transforms.segments.conditions import All, Any_, Attribute, Condition, Near, Not, SegmentRef

__all__ = ["asked_of"]

_NOTHING: frozenset[str] = frozenset()


def asked_of(definitions: Definitions, message: str) -> frozenset[str]:
    """The attributes that a user has at each send of a message; none for one that nothing sends."""
    return _common(
        found
        for campaign in definitions.campaigns.values()
        for found in _sends(definitions, campaign.steps, _entered(definitions, campaign), message)
    )


def _entered(definitions: Definitions, campaign: Campaign) -> frozenset[str]:
    """What those have who enter a campaign."""
    trigger, audience = campaign.trigger, campaign.audience
    entered = _of(definitions, SegmentRef(trigger.segment)) if trigger.kind == "enters" else _NOTHING
    return entered if audience is None else entered | _of(definitions, audience)


def _sends(
    definitions: Definitions, steps: Iterable[Step], before: frozenset[str], message: str
) -> Iterator[frozenset[str]]:
    """What a user has at each step that sends a message."""
    for step in steps:
        asked = step.conditions.values()
        if message in step.all_messages:
            unless = _common(_of(definitions, condition, holds=False) for condition in asked)
            yield before | unless
        for inside, holds in ((step.then, True), (step.otherwise, False)):
            if inside:
                branch = _common(_of(definitions, condition, holds=holds) for condition in asked)
                yield from _sends(definitions, inside, before | branch, message)


def _of(definitions: Definitions, condition: Condition, *, holds: bool = True) -> frozenset[str]:
    """The attributes without which a condition cannot hold, or, with `holds` False, cannot fail to hold."""
    match condition:
        case Attribute(name, _, operator):
            missing_holds = operator.name == "exists" and operator.operand is False  # nothing else holds without it
            return _NOTHING if missing_holds == holds else frozenset({name.partition(".")[0]})
        case Near(name) if holds:
            return frozenset({name.partition(".")[0]})
        case Not(part):
            return _of(definitions, part, holds=not holds)
        case SegmentRef(segment):
            return _of(definitions, definitions.asked.segments[segment], holds=holds)
        case All(parts) | Any_(parts):
            found = [_of(definitions, part, holds=holds) for part in parts]
            return _NOTHING.union(*found) if isinstance(condition, All) == holds else _common(found)
    return _NOTHING


def _common(found: Iterable[frozenset[str]]) -> frozenset[str]:
    """What is in all of them."""
    each = list(found)
    return each[0].intersection(*each[1:]) if each else _NOTHING
