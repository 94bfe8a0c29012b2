"""Planned times: when a scheduled campaign goes out, by one time or a cron expression, in one zone or each user's own.

Cron expressions are read by cronsim, whose rules are those of Debian's cron. It is asked for local times only: what a
clock change does to them is decided by `instant_of`, as everywhere else.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec
from cronsim import CronSim, CronSimError

from transforms.campaigns.local_time import local_of
from transforms.events.plain import quoted
from transforms.segments.values import DAY, HOUR, MINUTE, instant_of, known_or_utc

__all__ = ["EACH_USER", "EARLIEST", "Occurrence", "Schedule", "check_cron"]

#: The zone that stands for each user's own.
EACH_USER = "user"
#: The first place on earth where it is a time of the day is 14 hours ahead of UTC (Kiritimati).
EARLIEST = 14 * HOUR

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
_MICROSECOND = timedelta(microseconds=1)
#: 29 February comes again after eight years at the latest; cronsim gives up after fifty.
_MONTHS = 12 * 50
_LAST_YEAR = 9990


#: How many occurrences are cached, by schedule and minute. All users ask for the same.
_KNOWN = 1 << 15


class Occurrence(NamedTuple):
    """A time of a schedule, which begins `at` an instant (microseconds UTC).

    `local` is its planned local time, None for the start of a campaign; `again`: that time comes a second time.
    """

    at: int
    local: int | None
    again: bool = False


class Schedule(msgspec.Struct, frozen=True):
    """Local times, in microseconds as a wall clock shows them: `at` alone, or those of `cron`. `zone` is of the IANA
    database, or `EACH_USER`.
    """

    zone: str
    at: int | None = None
    cron: str = ""

    @property
    def by_user(self) -> bool:
        """Whether each user has an instant of their own."""
        return self.zone == EACH_USER

    def next_occurrence(self, after: int) -> Occurrence | None:
        """The first occurrence that begins later than `after`.

        In a zone it begins at its planned time; for each user's own clock when it is that time first anywhere, once.
        """
        if not self.by_user:
            return _next_occurrence(self, after, twice=self._every)
        found = _next_occurrence(msgspec.structs.replace(self, zone="UTC"), after + EARLIEST, twice=False)
        return None if found is None else Occurrence(found.at - EARLIEST, found.local)

    def next_for(self, zone: str, after: int) -> int | None:
        """The instant of the first occurrence later than `after` of a user in a zone; microseconds UTC."""
        own, twice = (msgspec.structs.replace(self, zone=zone), False) if self.by_user else (self, self._every)
        found = _next_occurrence(own, after, twice=twice)
        return None if found is None else found.at

    @property
    def _every(self) -> bool:
        """Whether it occurs in both hours of one that comes twice: with a `*` in hour or minute, as Debian has it."""
        return any(field.startswith("*") for field in self.cron.split()[:2])

    def search(self, after: int, *, twice: bool) -> Occurrence | None:
        """The first occurrence later than `after`, in the zone as it stands."""
        offset = _offset(after, self.zone)
        local = after + offset
        if _offset(after - DAY, self.zone) == offset and (planned := self._next(local)) is not None:
            at = planned - offset
            if at - after < DAY and _offset(at, self.zone) == offset:
                return Occurrence(at, planned)  # no clock was changed since yesterday, or is until then
        best: Occurrence | None = None
        local -= _shift(after, self.zone)  # a clock change may have moved a planned time behind others
        while (planned := self._next(local)) is not None:
            if best is not None and planned > local_of(best.at, self.zone) + _shift(best.at, self.zone):
                break
            first = instant_of(planned, self.zone)
            both = [Occurrence(first, planned)]
            if twice and (second := _second_of(planned, self.zone)) > first:
                both.append(Occurrence(second, planned, again=True))
            for each in both:
                if each.at > after and (best is None or each.at < best.at):
                    best = each
            local = planned
        return best

    def _next(self, local: int) -> int | None:
        """The first planned local time later than another."""
        if self.at is not None:
            return self.at if self.at > local else None
        moment = _EPOCH + timedelta(microseconds=local)
        month = moment.year * 12 + moment.month - 1
        for each in range(month, min(month + _MONTHS, _LAST_YEAR * 12)):
            times = _times_of(self.cron, each)
            if (place := bisect_right(times, local)) < len(times):
                return times[place]
        return None


def check_cron(text: str) -> None:
    """See that this is a cron expression of five fields: minute, hour, day of the month, month, day of the week.

    Raises:
      ValueError: it is none, or never comes.
    """
    if len(text.split()) != 5:
        raise ValueError(f'expected five fields, such as "30 7 * * 1" for Mondays at 7:30; found {quoted(text)}')
    try:
        never = next(CronSim(text, _EPOCH), None) is None
    except CronSimError as error:
        raise ValueError(f"not a cron expression: {str(error).lower()} in {quoted(text)}") from error
    if never:
        raise ValueError(f"there is no such day: {quoted(text)} never comes")


def _next_occurrence(schedule: Schedule, after: int, *, twice: bool) -> Occurrence | None:
    """The first occurrence later than `after`; searched for once a minute, since occurrences begin at minutes."""
    known = _known(schedule, after // MINUTE, twice)
    return known if known is None or known.at > after else schedule.search(after, twice=twice)


@lru_cache(maxsize=_KNOWN)
def _known(schedule: Schedule, minute: int, twice: bool) -> Occurrence | None:
    return schedule.search(minute * MINUTE, twice=twice)


def _second_of(local: int, zone: str) -> int:
    """The instant at which a local time comes for the second time; not later than the first where it comes once."""
    moment = (_EPOCH + timedelta(microseconds=local)).replace(tzinfo=known_or_utc(zone), fold=1)
    return local - (moment.utcoffset() or timedelta()) // _MICROSECOND


def _shift(at: int, zone: str) -> int:
    """By how much the clock of a zone is changed within a day of an instant."""
    offsets = [_offset(at + days * DAY, zone) for days in (-1, 0, 1)]
    return max(offsets) - min(offsets)


def _offset(at: int, zone: str) -> int:
    """How far the clock of a zone is ahead of UTC."""
    return local_of(at, zone) - at


@lru_cache(maxsize=1024)
def _times_of(cron: str, month: int) -> tuple[int, ...]:
    """The local times of a month, counted from year 0."""
    year, place = divmod(month, 12)
    begin = datetime(year, place + 1, 1)  # noqa: DTZ001 - of the wall clock
    end = datetime((month + 1) // 12, (month + 1) % 12 + 1, 1)  # noqa: DTZ001
    return tuple((moment - _EPOCH) // _MICROSECOND for moment in _between(cron, begin, end))


def _between(cron: str, begin: datetime, end: datetime) -> Iterator[datetime]:
    for moment in CronSim(cron, begin - timedelta(seconds=1)):
        if moment >= end:
            return
        yield moment
