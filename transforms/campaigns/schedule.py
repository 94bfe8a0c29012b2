"""Planned times: when a scheduled campaign goes out, by one time or a cron expression, in one zone or each user's own.

Cron expressions are read by cronsim, whose rules are those of Debian's cron. It is asked for local times only: what a
clock change does to them is decided by `instant_of`, as everywhere else.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from cronsim import CronSim, CronSimError

from transforms.campaigns.local_time import local_of
from transforms.segments.values import DAY, HOUR, instant_of

__all__ = ["EACH_USER", "EARLIEST", "Schedule", "check_cron"]

#: The zone that stands for each user's own.
EACH_USER = "user"
#: The first place on earth where it is a time of the day is 14 hours ahead of UTC (Kiritimati).
EARLIEST = 14 * HOUR

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
_MICROSECOND = timedelta(microseconds=1)
#: 29 February comes again after eight years at the latest; cronsim gives up after fifty.
_MONTHS = 12 * 50
_LAST_YEAR = 9990


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

    def next_run(self, after: int) -> tuple[int, int] | None:
        """The first run that begins later than `after`: the instant (microseconds UTC), and the planned local time.

        In a zone it begins at that time; for each user's own when it is that time first anywhere.
        """
        zone = "UTC" if self.by_user else self.zone
        ahead = EARLIEST if self.by_user else 0
        local = local_of(after + ahead, zone) - DAY  # a clock change may have moved a planned time behind others
        while (planned := self._next(local)) is not None:
            begins = instant_of(planned, zone) - ahead
            if begins > after:
                return begins, planned
            local = planned
        return None

    def next_for(self, zone: str, after: int) -> int | None:
        """The instant of the first run later than `after` of a user in a zone; microseconds UTC."""
        own = msgspec.structs.replace(self, zone=zone) if self.by_user else self
        found = own.next_run(after)
        return None if found is None else found[0]

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
        raise ValueError(f'expected five fields, such as "30 7 * * 1" for Mondays at 7:30; found {text!r}')
    try:
        never = next(CronSim(text, _EPOCH), None) is None
    except CronSimError as error:
        raise ValueError(f"not a cron expression: {str(error).lower()} in {text!r}") from error
    if never:
        raise ValueError(f"there is no such day: {text!r} never comes")


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
