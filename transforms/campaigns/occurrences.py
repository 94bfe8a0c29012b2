"""Planned times of one user: what scheduled campaigns will do to them next. Times are microseconds UTC.

A run in a zone, or at the time of `starts`, comes to everybody at one instant. A run by each user's own clock begins
when its local time occurs first anywhere; then each user's instant is fixed, so that who travels meanwhile gets it
once, and not never.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import NamedTuple

import msgspec

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.index import CampaignIndex
from transforms.campaigns.schedule import EARLIEST, Occurrence
from transforms.segments.conditions import Since
from transforms.segments.values import DAY, instant_of, start_of_day

__all__ = ["DueOccurrence", "KeptOccurrences", "Occurrences", "UserOccurrence", "moment_of"]


class UserOccurrence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run that comes to a user `at` their instant; `local` is its planned time by the wall clock."""

    local: int
    at: int


class DueOccurrence(NamedTuple):
    """A run that is due for a user: its planned local time, None for the start of a campaign. `planned`: it began
    earlier, and was planned for this user then; `again`: it comes a second time, since clocks were set back.
    """

    campaign: Campaign
    local: int | None
    planned: bool = False
    again: bool = False


#: By campaign, the earliest first.
KeptOccurrences = dict[str, tuple[UserOccurrence, ...]]


class Occurrences:
    """The plans of one user, being changed. `next` is when one is due, or a run begins, None where neither is known.

    `next` is always later than what the user was settled up to, so that it says which runs have begun already.
    """

    def __init__(
        self, occurrences: Mapping[str, tuple[UserOccurrence, ...]], next_: int | None, routes: CampaignIndex
    ) -> None:
        self.kept: KeptOccurrences = dict(occurrences)
        self.next = next_
        self._routes = routes

    def plan(self, clock: int) -> None:
        """Find what comes next after `clock`, such as when other definitions count."""
        scheduled = {campaign.id for campaign in self._routes.scheduled}
        self.kept = {name: occurrences for name, occurrences in self.kept.items() if name in scheduled}
        begins = [_next_begin(campaign, clock) for campaign in self._routes.scheduled]
        times = [occurrences[0].at for occurrences in self.kept.values()] + [
            begin.at for begin in begins if begin is not None
        ]
        self.next = min(times, default=None)

    def replan(self, clock: int, published: int) -> None:
        """Find what comes next by definitions that were published at a time. A run that fell due before it, and of
        which the user has not been told yet, still comes.
        """
        if self.next is None or not clock < self.next <= published:
            self.plan(published)

    def skip(self, now: int) -> None:
        """Do without what is due at `now`."""
        for name, occurrences in list(self.kept.items()):
            self._keep(name, [plan for plan in occurrences if plan.at > now])
        self.plan(now)

    def due(self, now: int, zone: str, concerns: Callable[[Campaign], bool]) -> list[DueOccurrence]:
        """What is due at `now`, which is `next`.

        Args:
          zone: the user's.
          concerns: whether a run that begins concerns the user: only then it is planned for them.
        """
        return [each for campaign in self._routes.scheduled for each in self._due(campaign, now, zone, concerns)]

    def join(self, theirs: Mapping[str, tuple[UserOccurrence, ...]], clock: int) -> None:
        """Take over a merged user's at `clock`; of one run the earlier instant counts."""
        if not theirs:
            return
        for name, occurrences in theirs.items():
            latest_first = sorted((*self.kept.get(name, ()), *occurrences), key=lambda plan: -plan.at)
            self._keep(name, {plan.local: plan for plan in latest_first}.values())
        self.plan(clock)

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
        """These are the plans for a campaign, the earliest first."""
        kept = tuple(sorted(occurrences, key=lambda plan: (plan.at, plan.local)))
        if kept:
            self.kept[campaign] = kept
        else:
            self.kept.pop(campaign, None)


def moment_of(since: Since, zone: str) -> int | None:
    """A time of a campaign for users of a zone."""
    return since if since is None or isinstance(since, int) else start_of_day(since, zone)


def _next_begin(campaign: Campaign, after: int) -> Occurrence | None:
    """When the next run of a campaign begins; None where none comes any more."""
    if campaign.status == "stopped":
        return None
    if campaign.trigger.schedule is None:
        return _start(campaign.starts, after)
    ends = moment_of(campaign.ends, "UTC")
    found = campaign.trigger.schedule.next_occurrence(after)
    # A day more: by the clocks of some users, and of dates, it is earlier.
    return None if found is None or (ends is not None and found.at > ends + DAY) else found


def _start(starts: Since, after: int) -> Occurrence | None:
    """When a campaign starts, if that is later than `after`: a date does for each user when it begins for them."""
    if isinstance(starts, date):
        local = start_of_day(starts, "UTC")
        found = Occurrence(local - EARLIEST, local)
    elif starts is not None:
        found = Occurrence(starts, None)
    else:
        return None
    return found if found.at > after else None
