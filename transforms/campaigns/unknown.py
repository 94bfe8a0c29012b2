"""Variables that messages need and nothing is known of: a user who lacks one gets no message."""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions
from transforms.events.event import GROUP, Event
from transforms.identity.channels import attributes_of, channels
from transforms.messages.needs import Need
from transforms.segments.conditions import Attribute, Near
from transforms.segments.document import Problem
from transforms.segments.warming import atoms

__all__ = ["Sample", "unknown_variables"]

#: What the product itself reads of a user, or says.
_OWN = {"id", "timezone", "locale", "context"}


class Sample(msgspec.Struct, frozen=True):
    """What recorded events hold: the users, those who have a trait, and of events by name how many have a property."""

    users: set[str]
    traits: dict[str, set[str]]
    events: Counter[str]
    properties: dict[str, Counter[str]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Sample":
        """What these events hold; a visitor without a user id adds traits, but is no user."""
        sample = cls(set(), {}, Counter(), {})
        for event in events:
            who = {event.user} if event.user is not None else set()
            sample.users.update(who)
            for trait in (GROUP,) if event.type == GROUP else event.traits:
                sample.traits.setdefault(trait, set()).update(who)
            sample.events[event.name] += 1
            sample.properties.setdefault(event.name, Counter()).update(event.properties.keys())
        return sample


def unknown_variables(definitions: Definitions, needs: Iterable[Need], sample: Sample | None) -> Iterator[Problem]:
    """A warning for each variable without `default` that no condition and no `set` step has, or some of a sample lack.

    Properties of events are looked for in the sample alone: definitions name few of them.
    """
    known = _OWN | _addresses() | _attributes(definitions)
    for need in needs:
        lacking = _lacking_user(need, known, sample) if need.root == "user" else _lacking(definitions, need, sample)
        if lacking:
            cause = f"`{need.root}.{need.name}` is used without `default`, and {lacking}: who lacks it gets nothing"
            yield Problem(need.file, need.line, need.path, cause, warning=True)


def _lacking_user(need: Need, known: set[str], sample: Sample | None) -> str:
    """Which users lack an attribute, in words; empty if none is known to."""
    if need.name in known:
        return ""
    if sample is None:
        return "no condition or `set` step has it"
    if need.name not in sample.traits:
        return "no condition, `set` step or event of the sample has it"
    have, all_of_them = len(sample.traits[need.name]), len(sample.users)
    return f"{have:,} of {all_of_them:,} users of the sample have it" if have < all_of_them else ""


def _lacking(definitions: Definitions, need: Need, sample: Sample | None) -> str:
    """Which events lack a property, in words; nothing where the sample has not all that the variable may stand for."""
    names = _names(definitions, need)
    if sample is None or not names or not names <= sample.properties.keys():
        return ""
    have = sum(sample.properties[name][need.name] for name in names)
    all_of_them = sum(sample.events[name] for name in names)
    if not have:
        return "no event of the sample has it"
    return f"{have:,} of {all_of_them:,} such events of the sample have it" if have < all_of_them else ""


def _addresses() -> set[str]:
    """The attributes that channels make addresses of."""
    return {attribute for channel in channels() for attribute in attributes_of(channel)}


def _attributes(definitions: Definitions) -> set[str]:
    asked = [*definitions.asked.segments.values(), *definitions.asked.campaigns.values()]
    found = {atom.name for condition in asked for atom in atoms(condition) if isinstance(atom, Attribute | Near)}
    found = {name.partition(".")[0] for name in found}  # `group.id` is in `group`
    return found | {name for each in definitions.campaigns.values() for step in each.every_step for name in step.values}


def _names(definitions: Definitions, need: Need) -> set[str]:
    """The names of the events that the variable may stand for."""
    return {
        name
        for campaign in definitions.campaigns.values()
        if any(need.message in step.all_messages for step in campaign.every_step)
        for name in _events(campaign, need.root)
    }


def _events(campaign: Campaign, root: str) -> Iterator[str]:
    if root in campaign.template_events:
        yield campaign.template_events[root]
    elif root == "event" and campaign.trigger.events is not None:
        yield campaign.trigger.events.name
