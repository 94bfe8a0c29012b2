"""Variables that messages need and of which nothing is known: whoever lacks them gets nothing."""

from collections.abc import Iterable, Iterator

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions
from transforms.events.event import GROUP, Event
from transforms.messages.needs import Need
from transforms.segments.conditions import Attribute, Near
from transforms.segments.document import Problem
from transforms.segments.warming import atoms

__all__ = ["Sample", "unknown_variables"]

#: What the product itself reads of a user, or says.
_OWN = {"id", "email", "phone", "line_id", "timezone", "locale", "context"}


class Sample(msgspec.Struct, frozen=True):
    """What recorded events hold: the traits of users, and the properties of events by their name."""

    traits: set[str]
    properties: dict[str, set[str]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Sample":
        """What these events hold."""
        sample = cls(set(), {})
        for event in events:
            sample.traits.update((GROUP,) if event.type == GROUP else event.traits)
            sample.properties.setdefault(event.name, set()).update(event.properties)
        return sample


def unknown_variables(definitions: Definitions, needs: Iterable[Need], sample: Sample | None) -> Iterator[Problem]:
    """A warning for each variable without `default` that no condition, no `set` step and no event of a sample has.

    Properties of events are looked for in the sample alone: definitions name few of them.
    """
    known = _OWN | _attributes(definitions) | (sample.traits if sample is not None else set())
    for need in needs:
        if need.root == "user":
            unknown = need.name not in known
            where = (
                "no condition or `set` step" if sample is None else "no condition, `set` step or event of the sample"
            )
        else:
            held = [] if sample is None else _properties(definitions, need, sample)
            unknown = bool(held) and not any(need.name in names for names in held)
            where = "no event of the sample"
        if unknown:
            cause = (
                f"`{need.root}.{need.name}` is used without `default`, and {where} has it: who lacks it gets nothing"
            )
            yield Problem(need.file, need.line, need.path, cause, warning=True)


def _attributes(definitions: Definitions) -> set[str]:
    asked = [*definitions.asked.segments.values(), *definitions.asked.campaigns.values()]
    found = {atom.name for condition in asked for atom in atoms(condition) if isinstance(atom, Attribute | Near)}
    found = {name.partition(".")[0] for name in found}  # `group.id` is in `group`
    return found | {name for each in definitions.campaigns.values() for step in each.every_step for name in step.values}


def _properties(definitions: Definitions, need: Need, sample: Sample) -> list[set[str]]:
    """What the events that the variable may stand for hold; nothing where the sample has not all of them."""
    names = {
        name
        for campaign in definitions.campaigns.values()
        if any(need.message in step.all_messages for step in campaign.every_step)
        for name in _events(campaign, need.root)
    }
    return [sample.properties[name] for name in names] if names <= sample.properties.keys() else []


def _events(campaign: Campaign, root: str) -> Iterator[str]:
    if root in campaign.given:
        yield campaign.given[root]
    elif root == "event" and campaign.trigger.events is not None:
        yield campaign.trigger.events.name
