"""Goals: what users do after they entered a campaign, those who were held out as well. Times are microseconds UTC."""

from collections.abc import Callable, Mapping

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.effects import Converted
from transforms.campaigns.index import CampaignIndex, value_at
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
    control: bool = False
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

    def begin(
        self, campaign: Campaign, entry: str, user: str, since: int, *, variant: str | None, control: bool
    ) -> None:
        """Open the goals of an entry at `since`."""
        for name, goal in campaign.goals.items():
            begin = since + goal.after
            found = OpenGoal(campaign.id, name, entry, user, begin, begin + goal.within, variant, control)
            self.open[found.key] = found

    def on_event(self, event: Event, user: str) -> None:
        """Count an event for the goals that it reaches; one whose definition is gone is reached by nothing."""
        for key, goal in list(self.open.items()):
            asked = self._routes.goals.get(goal.campaign, {}).get(goal.goal)
            if asked is None or not goal.begin <= event.time < goal.end or not asked[0](event):
                continue
            path = asked[1]
            value = value_at(path, event.properties) if path is not None else None
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
            if goal.converted and not number:
                continue
            said = (goal.campaign, goal.goal, user, goal.entry, event.time, not goal.converted, number)
            self._emit(Converted(*said, goal.variant, goal.control))
            self.open[key] = msgspec.structs.replace(goal, converted=True)

    def join(self, theirs: Mapping[str, OpenGoal]) -> None:
        """Take over a merged user's."""
        for key, goal in theirs.items():
            mine = self.open.get(key)
            self.open[key] = goal if mine is None or goal.converted else mine

    def after(self, clock: int) -> dict[str, OpenGoal]:
        """Those that events may still reach."""
        return {key: goal for key, goal in self.open.items() if clock < goal.end + _LATE}
