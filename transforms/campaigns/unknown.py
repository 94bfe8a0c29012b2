"""Variables that messages need and nothing is known of: a user who lacks one gets no message."""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from transforms.campaigns.asked import asked_of
from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions
from transforms.events.event import GROUP, Event
from transforms.identity.channels import attributes_of, channels
from transforms.messages.needs import Need
from transforms.segments.conditions import Attribute, Near
from transforms.segments.document import Problem
from transforms.segments.warming import atoms

__all__ = ["Sample", "unknown_variables"]

#: Values that are there for every user.
_OWN = {"id", "context"}
#: What the product itself reads of a user: no definition has to name it.
_READ = {"timezone", "locale"}


class Sample(msgspec.Struct, frozen=True):
    """What recorded events hold: the users, those who have a trait, and of events by name how many have a property.

    Null is no value. Of a trait that was written several times, the last by event time counts, then by message id.
    """

    users: set[str]
    traits: dict[str, set[str]]
    events: Counter[str]
    properties: dict[str, Counter[str]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Sample":
        """What these events hold; a visitor without a user id adds traits, but is no user."""
        sample = cls(set(), {}, Counter(), {})
        written: dict[str, dict[str, tuple[int, str]]] = {}
        for event in events:
            if event.user is not None:
                sample.users.add(event.user)
            traits = {GROUP: event.group} if event.type == GROUP else event.traits
            moment = (event.time, event.id)
            for trait, value in traits.items():
                had = sample.traits.setdefault(trait, set())
                last = written.setdefault(trait, {})
                if event.user is not None and last.get(event.user, moment) <= moment:
                    last[event.user] = moment
                    (had.discard if value is None else had.add)(event.user)
            sample.events[event.name] += 1
            given = [name for name, value in event.properties.items() if value is not None]
            sample.properties.setdefault(event.name, Counter()).update(given)
        return sample


def unknown_variables(definitions: Definitions, needs: Iterable[Need], sample: Sample | None) -> Iterator[Problem]:
    """A warning for each variable without `default` that some of those may lack who are to get the message.

    Without a sample, that is an attribute that no condition and no `set` step has. With one, it is whatever some of its
    users and events lack; left out are attributes that a `set` step writes, that the message's channel sends to, and
    that somebody must have for the message to be sent. Properties of events are looked for in the sample alone:
    definitions name few of them.
    """
    known = _OWN | _READ | _addresses() | _attributes(definitions) | _set(definitions)
    for need in needs:
        if need.root != "user":
            lacking = _lacking(definitions, need, sample)
        elif sample is None:
            lacking = "" if need.name in known else "no condition or `set` step has it"
        else:
            given = _OWN | _set(definitions) | set(attributes_of(definitions.messages[need.message].channel))
            lacking = "" if need.name in given | asked_of(definitions, need.message) else _lacking_users(need, sample)
        if lacking:
            cause = f"`{need.root}.{need.name}` is used without `default`, and {lacking}: who lacks it gets nothing"
            yield Problem(need.file, need.line, need.path, cause, warning=True)


def _lacking_users(need: Need, sample: Sample) -> str:
    """Which users of the sample lack an attribute, in words; empty if none does."""
    have, all_of_them = len(sample.traits.get(need.name, ())), len(sample.users)
    if not all_of_them and need.name not in sample.traits:
        return "no event of the sample has it"
    return f"{have:,} of {all_of_them:,} users of the sample have it" if have < all_of_them else ""


def _lacking(definitions: Definitions, need: Need, sample: Sample | None) -> str:
    """Which events lack a property, in words; nothing where the sample has not all that the variable may stand for."""
    names = _names(definitions, need)
    if sample is None or not names or not names <= sample.properties.keys():
        return ""
    have = sum(sample.properties[name][need.name] for name in names)
    all_of_them = sum(sample.events[name] for name in names)
    return f"{have:,} of {all_of_them:,} such events of the sample have it" if have < all_of_them else ""


def _addresses() -> set[str]:
    """The attributes that channels make addresses of."""
    return {attribute for channel in channels() for attribute in attributes_of(channel)}


def _attributes(definitions: Definitions) -> set[str]:
    """The attributes that conditions name."""
    asked = [*definitions.asked.segments.values(), *definitions.asked.campaigns.values()]
    found = {atom.name for condition in asked for atom in atoms(condition) if isinstance(atom, Attribute | Near)}
    return {name.partition(".")[0] for name in found}  # `group.id` is in `group`


def _set(definitions: Definitions) -> set[str]:
    """The attributes that `set` steps write."""
    return {name for each in definitions.campaigns.values() for step in each.every_step for name in step.values}


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
