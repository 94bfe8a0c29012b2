"""Goals: what users do after they entered a campaign, or were held out of it. Times are microseconds UTC."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import Converted, Draw, GoalUnit
from transforms.campaigns.index import CampaignIndex
from transforms.campaigns.journey import Journey
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.recent import Newest, Recent
from transforms.events.event import Event
from transforms.segments.leaf_totals import micros
from transforms.segments.values import DAY

__all__ = ["Goals", "OpenGoal", "complete_times"]

#: An event counts that arrives so long after the window at most.
_LATE = DAY
#: The greatest and the least sum of values that is kept, in millionths: 9 trillion.
_MOST = 2**63 - 1


class OpenGoal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A goal of one entry: events in [begin, end) reach it. `user` is the id at entry; see also `Converted`.

    `unit` is None for entries that were not the user's first, and for those from before there were units.
    """

    campaign: str
    goal: str
    entry: str
    user: str
    begin: int
    end: int
    variant: str | None = None
    held_out: bool = False
    converted: bool = False
    unit: GoalUnit | None = None

    @property
    def key(self) -> str:
        """What tells it from the user's other goals, also after merges."""
        return f"{self.entry}/{self.goal}/{self.user}"


class Goals(Part, msgspec.Struct, gc=False):
    """The open goals of one user, being changed."""

    fields = ("goals",)
    given = ("definitions.routes", "effects")

    goals: Mapping[str, OpenGoal]
    _routes: CampaignIndex
    _effects: list[Any]

    def pack(self, clock: int) -> tuple[Mapping[str, OpenGoal]]:
        """Those that events may still reach."""
        if not self.goals:  # nearly always, and asked for every input
            return (self.goals,)
        return ({key: goal for key, goal in self.goals.items() if clock < goal.end + _LATE},)

    def begin(self, campaign: Campaign, journey: Journey, recent: Recent, *, held_out: bool, draw: Draw | None) -> None:
        """Open the goals of an entry at its trigger's time; `draw` is that of a first entry. A goal whose event has
        come already is converted at once.
        """
        unit = None if draw is None else GoalUnit(journey.entered, draw.split)
        for name, goal in campaign.goals.items():
            begin = journey.since + goal.after
            place = (campaign.id, name, journey.entry, journey.user, begin, begin + goal.within)
            found = OpenGoal(*place, journey.variant, held_out, unit=unit)
            self._put(found)
            asked = self._routes.goals[campaign.id][name]
            newest = recent.later(asked, journey.event, journey.since, journey.trigger)
            if newest is not None and found.begin <= newest.time < found.end:
                self._reach(found, newest, journey.user)

    def on_event(self, event: Event, user: str) -> None:
        """Count an event for the goals that it reaches. A goal whose definition is gone cannot be reached."""
        for goal in list(self.goals.values()):
            asked = self._routes.goals.get(goal.campaign, {}).get(goal.goal)
            if asked is not None and goal.begin <= event.time < goal.end and asked.matches(event):
                self._reach(goal, Newest(event.time, event.id, asked.worth(event)), user)

    def _reach(self, goal: OpenGoal, by: Newest, user: str) -> None:
        if goal.converted and not by.value:
            return
        said = (goal.campaign, goal.goal, user, goal.entry, by.time, not goal.converted, by.value)
        reached = msgspec.structs.replace(goal, converted=True, unit=_with(goal.unit, by.value))
        arm = goal.variant, goal.held_out
        if goal.unit is None:
            self._effects.append(Converted(*said, *arm))
        else:
            self._effects.append(Converted(*said, *arm, reached.unit, goal.unit.total, goal.end + _LATE))
        self._put(reached)

    def _put(self, goal: OpenGoal) -> None:
        self.goals = {**self.goals, goal.key: goal}

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The goals of both. Of one that both have, the one that was reached, and of two such the one worth more: the
        other is what it was before.
        """
        mine = self.goals
        taken = {key: goal for key, goal in theirs.goals.items() if key not in mine or _further(goal, mine[key])}
        self.goals = {**mine, **taken}

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each goal."""
        for key, goal in self.goals.items():
            yield Piece.of(goal.begin, PieceGroup.OPEN, "goals", key, key, goal)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some: nothing reaches them any more."""
        self.goals = {key: goal for key, goal in self.goals.items() if key not in lost["goals"]}


def complete_times(campaign: Campaign, journey: Journey) -> tuple[tuple[str, int], ...]:
    """When each goal of an entry can change no more: its window and the time for what comes late are over."""
    return tuple((name, journey.since + goal.after + goal.within + _LATE) for name, goal in campaign.goals.items())


def _with(unit: GoalUnit | None, value: float) -> GoalUnit | None:
    if unit is None or not value:
        return unit
    total = max(-_MOST, min(unit.total + micros(value), _MOST))
    return msgspec.structs.replace(unit, total=total)


def _further(theirs: OpenGoal, mine: OpenGoal) -> bool:
    """Whether one of two records of a goal has gone further."""
    return _progress(theirs) >= _progress(mine) if theirs.converted else False


def _progress(goal: OpenGoal) -> tuple[bool, int]:
    return goal.converted, 0 if goal.unit is None else abs(goal.unit.total)
