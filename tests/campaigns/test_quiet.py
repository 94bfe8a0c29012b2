"""When quiet hours end, against a search that reads the local clock minute by minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.quiet import first_outside
from transforms.events.times import read_time, write_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: Clocks that change by one hour, by half of one, by two, a minute after midnight, around Ramadan, by a whole day, and
#: never.
ZONES = [
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "America/St_Johns"),
    *("Africa/Casablanca", "Pacific/Apia", "America/Asuncion", "Asia/Kathmandu", "UTC"),
]


class Clock:
    """A local clock as somebody sees it who looks at it every minute from three days before an instant to four after.

    `read` holds what it shows; `first` when it showed a time first.
    """

    def __init__(self, zone: str, now: datetime) -> None:
        start = now.replace(second=0, microsecond=0) - timedelta(days=3)
        self.minutes = [start + MINUTE * count for count in range(7 * 24 * 60)]
        self.read = [minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for minute in self.minutes]
        self.first: dict[datetime, datetime] = {}
        for minute, shown in zip(self.minutes, self.read, strict=True):
            self.first.setdefault(shown, minute)

    def when(self, local: datetime) -> datetime | None:
        """When it shows a time first; one that it skips is so long after the change as it is after what was shown."""
        if local in self.first:
            return self.first[local]
        for minute, before, after in zip(self.minutes, self.read, self.read[1:], strict=False):
            if before < local < after:
                return minute + (local - before)
        return None

    def nights(self, begin: int, end: int) -> list[tuple[datetime, datetime]]:
        """The quiet hours of every local day, also of those that it skips."""
        midnight = min(self.read).replace(hour=0, minute=0)
        nights = []
        for count in range(9):
            day = midnight + timedelta(days=count)
            last = day if begin < end else day + timedelta(days=1)
            edges = self.when(day + MINUTE * begin), self.when(last + MINUTE * end)
            if edges[0] is not None and edges[1] is not None:
                nights.append((edges[0], edges[1]))
        return nights

    def first_outside(self, begin: int, end: int, now: datetime) -> datetime:
        """The answer, found by trying `now` and then every minute."""
        nights = self.nights(begin, end)
        tries = [now, *(minute for minute in self.minutes if minute > now)]
        return next(at for at in tries if not any(start <= at < stop for start, stop in nights))


def moment(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def instant(text: str) -> int:
    return read_time(text)


#: From 1973 on all clocks are whole minutes from UTC.
INSTANTS = st.integers(instant("1973-01-01T00:00:00Z"), instant("2037-01-01T00:00:00Z"))
#: Around the changes of the clocks of `ZONES`.
CHANGES = st.sampled_from(
    [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2011-03-13T03:31:00Z",
        "2026-02-15T02:00:00Z",
        "2026-03-22T02:00:00Z",
        "2011-12-30T10:00:00Z",
        "2023-03-26T03:00:00Z",
    ]
).flatmap(lambda text: st.integers(-30, 30).map(lambda hours: instant(text) + hours * 1_800_000_000))
LOCAL = st.integers(0, 24 * 60 - 1) | st.sampled_from([0, 1, 90, 120, 150, 180, 21 * 60, 22 * 60 + 30, 8 * 60])


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(ZONES), LOCAL, LOCAL, INSTANTS | CHANGES)
@example("Europe/Berlin", 22 * 60, 150, instant("2026-03-29T00:00:00Z"))
@example("Pacific/Apia", 22 * 60, 7 * 60, instant("2011-12-30T11:00:00Z"))
@example("Australia/Lord_Howe", 130, 125, instant("2026-10-03T15:20:00Z"))
def test_quiet_hours_end_when_a_search_says_so(zone: str, begin: int, end: int, now: int) -> None:
    if begin == end:
        end = (end + 1) % (24 * 60)
    found = moment(first_outside((begin, end), zone, now))
    assert found == Clock(zone, moment(now)).first_outside(begin, end, moment(now))


NIGHT = (21 * 60, 8 * 60)


@pytest.mark.parametrize(
    ("quiet", "zone", "now", "expected"),
    [
        (NIGHT, "UTC", "2026-03-10T20:59:59.999999Z", "2026-03-10T20:59:59.999999Z"),
        (NIGHT, "UTC", "2026-03-10T21:00:00Z", "2026-03-11T08:00:00Z"),
        (NIGHT, "UTC", "2026-03-11T07:59:59.999999Z", "2026-03-11T08:00:00Z"),
        (NIGHT, "UTC", "2026-03-11T08:00:00Z", "2026-03-11T08:00:00Z"),
        (NIGHT, "Asia/Tokyo", "2026-03-10T12:00:00Z", "2026-03-10T23:00:00Z"),
        (NIGHT, "no zone", "2026-03-10T21:00:00Z", "2026-03-11T08:00:00Z"),
        ((540, 1020), "UTC", "2026-03-10T09:00:00Z", "2026-03-10T17:00:00Z"),
        ((540, 1020), "UTC", "2026-03-10T17:00:00Z", "2026-03-10T17:00:00Z"),
        # An hour is skipped at 02:00: 02:30 is 03:30; and comes twice at 03:00: the first 02:30 ends the night.
        ((1320, 150), "Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T01:30:00Z"),
        ((1320, 150), "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
        ((1320, 150), "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z"),
        # That night is an hour longer.
        (NIGHT, "Europe/Berlin", "2026-10-24T19:00:00Z", "2026-10-25T07:00:00Z"),
        # The whole of 30 December was skipped.
        (NIGHT, "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-30T18:00:00Z"),
        # The ends of what can be written.
        (NIGHT, "UTC", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        (NIGHT, "Asia/Tokyo", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_examples(quiet: tuple[int, int], zone: str, now: str, expected: str) -> None:
    assert write_time(first_outside(quiet, zone, instant(now))) == write_time(instant(expected))
