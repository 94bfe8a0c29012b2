"""All campaigns compiled together: which of them an event, a change of membership or a time can begin, move or end."""

from collections.abc import Callable, Iterable, Mapping

from transforms.campaigns.definitions import Campaign, Step
from transforms.campaigns.recent import EventQuery, by_name
from transforms.events.event import CALLS, Event
from transforms.segments.conditions import ANY, Condition
from transforms.segments.leaves import matcher

__all__ = ["CampaignIndex", "asker_of", "condition_name", "conditions_of"]


class CampaignIndex:
    """Campaigns by what concerns them, those of a list in the order of decisions: priority, then id.

    `entering` and `leaving` lead from segments to the campaigns that they trigger; `scheduled` are those that time
    triggers. `exits` has the events that end a campaign's journeys, `waits` those that end a wait, by campaign and
    step, `goals` those of its goals; `recent` are all of these, by name, and `recent_keys` their keys. `continuations`
    leads from a step to all that come next, itself the first, in the order of the walk; what an `if` chooses is not
    among them. `remembered` are the events of which templates see the newest, `events` the names of all events that
    any of them names.
    """

    def __init__(self, campaigns: Mapping[str, Campaign]) -> None:
        self.campaigns = campaigns
        self.entering: dict[str, list[Campaign]] = {}
        self.leaving: dict[str, list[Campaign]] = {}
        self.scheduled: list[Campaign] = []
        self._by_event: dict[str, list[tuple[Campaign, Callable[[Event], bool]]]] = {}
        self._announced: dict[str, list[tuple[Campaign, Callable[[Event], bool]]]] = {}
        for campaign in sorted(campaigns.values(), key=lambda each: (-each.priority, each.id)):
            self._index_trigger(campaign)
        self.exits = {
            name: [EventQuery.of(way.events, same=way.same) for way in campaign.exits if way.events]
            for name, campaign in campaigns.items()
        }
        self.waits = {
            (name, step.id): EventQuery.of(step.events, same=step.same)
            for name, campaign in campaigns.items()
            for step in campaign.every_step
            if step.events
        }
        self.goals = {
            name: {goal: EventQuery.of(said.events, value=said.value) for goal, said in campaign.goals.items()}
            for name, campaign in campaigns.items()
        }
        asked = [each for queries in self.exits.values() for each in queries]
        asked += [*self.waits.values(), *(each for goals in self.goals.values() for each in goals.values())]
        self.recent = by_name(asked)
        self.recent_keys = frozenset(each.key for each in asked)
        self.continuations = {name: _continuations(campaign.steps, ()) for name, campaign in campaigns.items()}
        self.remembered = frozenset(name for each in campaigns.values() for name in each.template_events.values())
        self.events = self.remembered | self.recent.keys() | self._by_event.keys() | self._announced.keys()

    def triggered(self, event: Event) -> list[Campaign]:
        """The campaigns that an event triggers."""
        found = self._by_event.get(event.name, ())
        if (every := self._by_event.get(ANY)) and event.type in CALLS:
            found = sorted([*found, *every], key=lambda each: (-each[0].priority, each[0].id))
        return [campaign for campaign, matches in found if matches(event)]

    def asks_segments(self, entered: Iterable[str], left: Iterable[str]) -> bool:
        """Whether any campaign begins with one of these changes of membership."""
        return not (self.entering.keys().isdisjoint(entered) and self.leaving.keys().isdisjoint(left))

    def announced(self, event: Event) -> list[Campaign]:
        """The campaigns that an event without a user triggers."""
        return [campaign for campaign, matches in self._announced.get(event.name, ()) if matches(event)]

    def is_announcement(self, event: str) -> bool:
        """Whether any campaign waits for events of this name that concern no user."""
        return event in self._announced

    def _index_trigger(self, campaign: Campaign) -> None:
        trigger = campaign.trigger
        if trigger.events is not None:
            known = self._by_event if trigger.kind == "event" else self._announced
            known.setdefault(trigger.events.name, []).append((campaign, matcher(trigger.events)))
        elif trigger.kind == "enters":
            self.entering.setdefault(trigger.segment, []).append(campaign)
        elif trigger.kind == "leaves":
            self.leaving.setdefault(trigger.segment, []).append(campaign)
        if trigger.schedule is not None or trigger.include_current:
            self.scheduled.append(campaign)


def condition_name(campaign: str, step: str, variant: str = "") -> str:
    """The name of what a step of a campaign asks, of those in a variant or of all."""
    return f"{campaign}/{step}/{variant}"


def asker_of(condition: str) -> str:
    """The segment or campaign that asks the condition of this name."""
    return condition.partition("/")[0]


def conditions_of(campaigns: Mapping[str, Campaign]) -> dict[str, Condition]:
    """What campaigns ask: audiences by the campaign's id, and what steps ask by `condition_name`."""
    found = {name: campaign.audience for name, campaign in campaigns.items() if campaign.audience is not None}
    for name, campaign in campaigns.items():
        for step in campaign.every_step:
            found |= {condition_name(name, step.id, variant): asked for variant, asked in step.conditions.items()}
    return found


def _continuations(steps: tuple[Step, ...], behind: tuple[Step, ...]) -> dict[str, tuple[Step, ...]]:
    found: dict[str, tuple[Step, ...]] = {}
    for place, step in enumerate(steps):
        onward = (*steps[place:], *behind)
        found[step.id] = onward
        found |= _continuations(step.then, onward[1:]) | _continuations(step.otherwise, onward[1:])
    return found
