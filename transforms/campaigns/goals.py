"""Goals: what users do after they entered a campaign, those who were held out as well. Times are microseconds UTC."""

from collections.abc import Callable, Mapping

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import Converted
from transforms.campaigns.index import CampaignIndex
from transforms.campaigns.journey import Journey
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
        """What tells it from others of the user, also after merges."""
        return f"{self.entry}/{self.goal}/{self.user}"


class Goals:
    """The open goals of one user, being changed."""

    def __init__(self, open_: Mapping[str, OpenGoal], routes: CampaignIndex, emit: Callable[[Converted], None]) -> None:
        self.open = dict(open_)
        self._routes = routes
        self._emit = emit

    def begin(self, campaign: Campaign, journey: Journey, recent: Recent, *, held_out: bool) -> None:
        """Open the goals of an entry at its trigger's time. One that the newest such event has reached already, since
        it came before, is converted.
        """
        for name, goal in campaign.goals.items():
            begin = journey.since + goal.after
            place = (campaign.id, name, journey.entry, journey.user, begin, begin + goal.within)
            found = OpenGoal(*place, journey.variant, held_out)
            self.open[found.key] = found
            asked = self._routes.goals[campaign.id][name]
            newest = recent.later(asked, journey.event, journey.since, journey.trigger)
            if newest is not None and found.begin <= newest.time < found.end:
                self._reach(found, newest, journey.user)

    def on_event(self, event: Event, user: str) -> None:
        """Count an event for the goals that it reaches; one whose definition is gone is reached by nothing."""
        for goal in list(self.open.values()):
            asked = self._routes.goals.get(goal.campaign, {}).get(goal.goal)
            if asked is not None and goal.begin <= event.time < goal.end and asked.matches(event):
                self._reach(goal, Newest(event.time, event.id, asked.worth(event)), user)

    def _reach(self, goal: OpenGoal, by: Newest, user: str) -> None:
        if goal.converted and not by.value:
            return
        said = (goal.campaign, goal.goal, user, goal.entry, by.time, not goal.converted, by.value)
        self._emit(Converted(*said, goal.variant, goal.held_out))
        self.open[goal.key] = msgspec.structs.replace(goal, converted=True)

    def join(self, theirs: Mapping[str, OpenGoal]) -> None:
        """Take over a merged user's."""
        for key, goal in theirs.items():
            mine = self.open.get(key)
            self.open[key] = goal if mine is None or goal.converted else mine

    def after(self, clock: int) -> dict[str, OpenGoal]:
        """Those that events may still reach."""
        return {key: goal for key, goal in self.open.items() if clock < goal.end + _LATE}
