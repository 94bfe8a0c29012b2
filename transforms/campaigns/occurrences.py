"""Occurrences of one user: what scheduled campaigns will do to them next. Times are microseconds UTC.

One in a zone, or at the time of `starts`, comes to everybody at one instant. An occurrence by each user's own clock
begins when its local time comes first anywhere. Then each user's instant is fixed, so that a user who travels meanwhile
gets it exactly once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.index import CampaignIndex
from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.schedule import EARLIEST, Occurrence
from transforms.segments.conditions import Since
from transforms.segments.values import DAY, instant_of, start_of_day

if TYPE_CHECKING:
    from transforms.campaigns.trigger import Trigger
    from transforms.campaigns.user_view import UserView

__all__ = ["DueOccurrence", "KeptOccurrences", "Occurrences", "UserOccurrence", "moment_of"]


class UserOccurrence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An occurrence that comes to a user `at` their instant; `local` is its planned time by the wall clock."""

    local: int
    at: int


class DueOccurrence(NamedTuple):
    """An occurrence that is due for a user: its planned local time, None for the start of a campaign. `planned`: it
    began earlier, and its instant was fixed for this user then; `again`: it comes a second time, since clocks were set
    back.
    """

    campaign: Campaign
    local: int | None
    planned: bool = False
    again: bool = False


#: By campaign, the earliest first.
KeptOccurrences = dict[str, tuple[UserOccurrence, ...]]


class Occurrences(Part, msgspec.Struct, gc=False):
    """The occurrences that are fixed for one user, being changed. `next` is when one is due, or another begins; None if
    neither is known.

    It is always later than the instant that the user has advanced to, so it says which have begun already.
    """

    fields: ClassVar[Mapping[str, str]] = {"occurrences": "kept", "next_occurrence": "next"}
    given = ("definitions.routes",)
    private = ("next_occurrence",)

    kept: KeptOccurrences
    next: int | None
    _routes: CampaignIndex

    @staticmethod
    def deadline_of(stored: Any) -> int | None:
        """When one is due, or begins, as stored."""
        due: int | None = stored.next_occurrence
        return due

    @property
    def deadline(self) -> int | None:
        """When one is due, or begins."""
        return self.next

    def take_due(self, due: int) -> bool:
        """Whether one is due, or begins."""
        return self.next == due

    def come_due(self, _taken: bool, due: int, user: "UserView", trigger: "Trigger") -> None:
        """Bring about those that are due, and find what comes next."""
        for occurrence in self.due(due, user.zone, user.engine.concerns):
            user.engine.on_time(occurrence, trigger)
        self.plan(max(user.clock, user.definitions.published))

    @staticmethod
    def due_of(stored: Any, until: int) -> Iterator[tuple[str, str]]:
        """All that are due by then, as one thing."""
        if stored.next_occurrence is not None and stored.next_occurrence <= until:
            yield "run", ""

    def skip_due(self, _key: str, user: "UserView") -> None:
        """Do without what is due now."""
        for name, occurrences in self.kept.items():
            self._keep(name, [plan for plan in occurrences if plan.at > user.clock])
        self.plan(user.clock)

    def plan(self, clock: int) -> None:
        """Find what comes next after `clock`, such as when other definitions count."""
        scheduled = {campaign.id for campaign in self._routes.scheduled}
        self.kept = {name: occurrences for name, occurrences in self.kept.items() if name in scheduled}
        begins = [_next_begin(campaign, clock) for campaign in self._routes.scheduled]
        times = [occurrences[0].at for occurrences in self.kept.values()] + [
            begin.at for begin in begins if begin is not None
        ]
        self.next = min(times, default=None)

    def redefine(self, user: "UserView", _trigger: "Trigger") -> None:
        """Find what comes next by other definitions. What fell due before they were published and has not come to the
        user yet still comes.
        """
        published = max(user.clock, user.definitions.published)
        if self.next is None or not user.clock < self.next <= published:
            self.plan(published)

    def due(self, now: int, zone: str, concerns: Callable[[Campaign], bool]) -> list[DueOccurrence]:
        """What is due at `now`, which is `deadline`.

        Args:
          zone: the user's.
          concerns: whether one that begins concerns the user: only then its instant is fixed for them.
        """
        return [each for campaign in self._routes.scheduled for each in self._due(campaign, now, zone, concerns)]

    def join(self, theirs: Any, user: "UserView", _arrival: int) -> None:
        """The occurrences of both. If both have one, the earlier instant counts."""
        for name, occurrences in theirs.occurrences.items():
            latest_first = sorted((*self.kept.get(name, ()), *occurrences), key=lambda plan: -plan.at)
            self._keep(name, {plan.local: plan for plan in latest_first}.values())
        if theirs.occurrences:
            self.plan(user.clock)

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """What is fixed for each campaign."""
        for campaign, occurrences in self.kept.items():
            yield Piece.of(occurrences[0].at, PieceGroup.OPEN, "plans", campaign, campaign, occurrences)

    def drop(self, lost: Lost, _user: "UserView") -> None:
        """Forget some: their campaigns do not reach the user until the next occurrence begins."""
        self.kept = {name: occurrences for name, occurrences in self.kept.items() if name not in lost["plans"]}

    def _due(
        self, campaign: Campaign, now: int, zone: str, concerns: Callable[[Campaign], bool]
    ) -> Iterator[DueOccurrence]:
        begin = _next_begin(campaign, now - 1)
        if begin is not None and begin.at == now:
            local = begin.local
            schedule = campaign.trigger.schedule
            if local is None or (schedule is not None and not schedule.by_user):
                yield DueOccurrence(campaign, local, again=begin.again)
            elif schedule is None or concerns(campaign):
                self._add(campaign.id, UserOccurrence(local, max(now, instant_of(local, zone))))
        occurrences = self.kept.get(campaign.id, ())
        self._keep(campaign.id, [plan for plan in occurrences if plan.at > now])
        for plan in occurrences:
            if plan.at <= now:
                yield DueOccurrence(campaign, None if campaign.trigger.schedule is None else plan.local, planned=True)

    def _add(self, campaign: str, plan: UserOccurrence) -> None:
        self._keep(campaign, [*self.kept.get(campaign, ()), plan])

    def _keep(self, campaign: str, occurrences: Iterable[UserOccurrence]) -> None:
        """Set those that are fixed for a campaign, the earliest first."""
        kept = tuple(sorted(occurrences, key=lambda plan: (plan.at, plan.local)))
        if kept:
            self.kept = {**self.kept, campaign: kept}
        elif campaign in self.kept:
            self.kept = {name: others for name, others in self.kept.items() if name != campaign}


def moment_of(since: Since, zone: str) -> int | None:
    """A time of a campaign for users of a zone."""
    return since if since is None or isinstance(since, int) else start_of_day(since, zone)


def _next_begin(campaign: Campaign, after: int) -> Occurrence | None:
    """When the next occurrence of a campaign begins; None where none comes any more."""
    if campaign.status == "stopped":
        return None
    if campaign.trigger.schedule is None:
        return _start(campaign.starts, after)
    ends = moment_of(campaign.ends, "UTC")
    found = campaign.trigger.schedule.next_occurrence(after)
    # A day more: by the clocks of some users, and of dates, it is earlier.
    return None if found is None or (ends is not None and found.at > ends + DAY) else found


def _start(starts: Since, after: int) -> Occurrence | None:
    """When a campaign starts, if that is later than `after`. A date starts for each user when it begins for them."""
    if isinstance(starts, date):
        local = start_of_day(starts, "UTC")
        found = Occurrence(local - EARLIEST, local)
    elif starts is not None:
        found = Occurrence(starts, None)
    else:
        return None
    return found if found.at > after else None
