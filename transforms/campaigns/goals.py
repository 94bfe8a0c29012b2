"""Goals: what users do after they entered a campaign, or were held out of it. Times are microseconds UTC."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import Converted
from transforms.campaigns.index import CampaignIndex
from transforms.campaigns.journey import Journey
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.recent import Newest, Recent
from transforms.events.event import Event
from transforms.segments.values import DAY

__all__ = ["Goals", "OpenGoal"]

#: An event counts that arrives so long after the window at most.
_LATE = DAY


class OpenGoal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A goal of one entry: events in [begin, end) reach it. `user` is the id at entry; see also `Converted`."""

    campaign: str
    goal: str
    entry: str
    user: str
    begin: int
    end: int
    variant: str | None = None
    held_out: bool = False
    converted: bool = False

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

    def begin(self, campaign: Campaign, journey: Journey, recent: Recent, *, held_out: bool) -> None:
        """Open the goals of an entry at its trigger's time. A goal whose event has come already is converted
        at once.
        """
        for name, goal in campaign.goals.items():
            begin = journey.since + goal.after
            place = (campaign.id, name, journey.entry, journey.user, begin, begin + goal.within)
            found = OpenGoal(*place, journey.variant, held_out)
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
        self._effects.append(Converted(*said, goal.variant, goal.held_out))
        self._put(msgspec.structs.replace(goal, converted=True))

    def _put(self, goal: OpenGoal) -> None:
        self.goals = {**self.goals, goal.key: goal}

    def join(self, theirs: Any, _user: Any, _arrival: int) -> None:
        """The goals of both. A goal is converted if either has converted it."""
        mine = self.goals
        taken = {key: goal for key, goal in theirs.goals.items() if key not in mine or goal.converted}
        self.goals = {**mine, **taken}

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each goal."""
        for key, goal in self.goals.items():
            yield Piece.of(goal.begin, PieceGroup.OPEN, "goals", key, key, goal)

    def drop(self, lost: Lost, _user: Any) -> None:
        """Forget some: nothing reaches them any more."""
        self.goals = {key: goal for key, goal in self.goals.items() if key not in lost["goals"]}
