"""Planned times: cron and `at`, in zones, over clock changes; against going through every minute of the wall clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.local_time import local_of, next_time_of_day
from transforms.campaigns.schedule import EACH_USER, Schedule, check_cron
from transforms.events.times import read_time, write_time
from transforms.segments.values import DAY, HOUR, instant_of

ZONES = st.sampled_from(["UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
MINUTE = HOUR // 60


def runs(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next runs, as instants."""
    found, at = [], read_time(after)
    for _ in range(count):
        run = schedule.next_occurrence(at)
        if run is None:
            break
        at = run[0]
        found.append(write_time(at))
    return found


def local(text: str) -> int:
    return read_time(f"{text}Z")


def test_a_cron_expression_in_a_zone() -> None:
    found = runs(Schedule("Asia/Tokyo", cron="30 7 * * 1"), "2026-03-27T00:00:00Z", 2)
    assert found == ["2026-03-29T22:30:00Z", "2026-04-05T22:30:00Z"]


def test_one_time_comes_once() -> None:
    schedule = Schedule("Europe/Berlin", at=local("2026-07-01T10:00:00"))
    assert runs(schedule, "2026-03-27T00:00:00Z", 2) == ["2026-07-01T08:00:00Z"]
    assert runs(schedule, "2026-07-01T08:00:00Z", 2) == []


def test_a_skipped_time_moves_forward_by_the_gap_and_a_doubled_one_comes_once() -> None:
    assert runs(Schedule("Europe/Berlin", cron="30 2 * * *"), "2026-03-27T12:00:00Z", 3) == [
        *("2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z")
    ]
    assert runs(Schedule("Europe/Berlin", cron="30 2 * * *"), "2026-10-23T12:00:00Z", 3) == [
        *("2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z")
    ]


def test_with_a_star_in_hour_or_minute_the_hour_that_comes_twice_has_its_runs_twice() -> None:
    """Debian's rule, and Lord Howe's half hour."""
    for cron, found in (
        ("30 * * * *", ["00:30", "01:30", "02:30"]),
        ("*/30 2 * * *", ["00:00", "00:30", "01:00", "01:30"]),
        ("30 2 * * *", ["00:30"]),
    ):
        expected = [f"2026-10-25T{time}:00Z" for time in found]
        assert runs(Schedule("Europe/Berlin", cron=cron), "2026-10-24T23:59:00Z", len(found)) == expected
    found = runs(Schedule("Australia/Lord_Howe", cron="*/20 * * * *"), "2026-04-04T14:30:00Z", 4)
    assert found == [f"2026-04-04T{time}:00Z" for time in ("14:40", "15:10", "15:30", "15:50")]


def test_by_each_users_clock_a_planned_time_comes_once() -> None:
    each = Schedule(EACH_USER, cron="30 * * * *")
    assert each.next_for("Europe/Berlin", read_time("2026-10-25T00:30:00Z")) == read_time("2026-10-25T02:30:00Z")


def test_runs_of_every_minute_are_those_of_every_minute() -> None:
    every, at = Schedule("Europe/Berlin", cron="* * * * *"), read_time("2026-10-24T12:00:00Z")
    for minute in range(24 * 60):
        run = every.next_occurrence(at + minute * MINUTE)
        assert run is not None
        assert run.at == at + (minute + 1) * MINUTE


def test_a_run_by_each_users_clock_begins_where_it_is_first_that_time() -> None:
    assert runs(Schedule(EACH_USER, cron="0 9 * * *"), "2026-03-27T00:00:00Z", 2) == [
        *("2026-03-27T19:00:00Z", "2026-03-28T19:00:00Z")
    ]


def test_a_leap_day() -> None:
    assert runs(Schedule("UTC", cron="0 0 29 2 *"), "2026-03-27T00:00:00Z", 2) == [
        *("2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z")
    ]


@pytest.mark.parametrize("text", ["0 9 * * MON-FRI", "*/5 0-6 1,15 JAN-MAR *", "0 0 L * *", "0 9 * * 1#1"])
def test_what_a_cron_expression_may_be(text: str) -> None:
    check_cron(text)
    assert Schedule("UTC", cron=text).next_occurrence(0) is not None


@pytest.mark.parametrize("text", ["", "0 9 * *", "0 9 * * * *", "60 9 * * *", "@daily", "0 9 * * 9", "a b c d e"])
def test_what_it_may_not_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"cron expression|five fields"):
        check_cron(text)


FIELDS = st.tuples(
    st.sampled_from(["0", "30", "*/20", "5,50", "*"]),
    st.sampled_from(["0", "2", "*/6", "1-3", "*"]),
    st.sampled_from(["*", "29", "1-5"]),
    st.sampled_from(["*", "3", "10"]),
    st.sampled_from(["*", "0", "1-5"]),
)


def matches(field: str, value: int, least: int) -> bool:
    """Whether a value is one of a field of the above."""
    for part in field.split(","):
        if part == "*":
            return True
        if part.startswith("*/"):
            if (value - least) % int(part[2:]) == 0:
                return True
        elif "-" in part:
            low, high = map(int, part.split("-"))
            if low <= value <= high:
                return True
        elif int(part) == value:
            return True
    return False


def is_planned(cron: tuple[str, ...], moment: datetime) -> bool:
    minute, hour, day, month, weekday = cron
    if not (matches(minute, moment.minute, 0) and matches(hour, moment.hour, 0) and matches(month, moment.month, 1)):
        return False
    days = matches(day, moment.day, 1), matches(weekday, moment.isoweekday() % 7, 0)
    return any(days) if day != "*" and weekday != "*" else all(days)  # as Debian's cron has it


def as_instant(moment: datetime, zone: str, fold: int = 0) -> int:
    """RFC 5545: of a time that comes twice the first, one that is skipped by the offset of before."""
    skipped = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    aware = moment.replace(tzinfo=ZoneInfo(zone), fold=fold if skipped == moment else 0)
    return int(aware.astimezone(UTC).timestamp()) * 1_000_000


@settings(max_examples=examples(150), deadline=None)
@given(
    FIELDS,
    ZONES,
    st.sampled_from(["2026-03-27", "2026-10-23", "2026-04-03", "2026-11-01", "2026-10-02"]),
    st.integers(0, 2 * 1440),
)
def test_runs_are_those_of_going_through_every_minute(cron: tuple[str, ...], zone: str, day: str, minutes: int) -> None:
    after = read_time(f"{day}T00:00:00Z") + minutes * MINUTE
    begin = datetime.fromisoformat(day) - timedelta(days=2)
    walls = (begin + timedelta(minutes=minute) for minute in range(9 * 1440))
    twice = (0, 1) if "*" in cron[0] + cron[1] else (0,)  # Debian's rule
    planned = [(as_instant(wall, zone, fold), wall) for wall in walls if is_planned(cron, wall) for fold in twice]
    expected = min((run for run in planned if run[0] > after), default=None)
    found = Schedule(zone, cron=" ".join(cron)).next_occurrence(after)
    if expected is None:
        assert found is None or found[0] > after + 4 * DAY
        return
    assert found is not None
    assert found[0] == expected[0]


@settings(max_examples=examples(200))
@given(ZONES, st.integers(0, 1439), st.integers(read_time("2026-01-01T00:00:00Z"), read_time("2027-01-01T00:00:00Z")))
def test_the_next_time_of_a_day_is_the_first_at_or_after(zone: str, minute: int, now: int) -> None:
    found = next_time_of_day(minute, zone, now)
    assert now <= found <= now + 25 * HOUR
    midnight = local_of(now, zone) // DAY * DAY
    times = [instant_of(midnight + day * DAY + minute * MINUTE, zone) for day in (-1, 0, 1, 2)]
    assert found == min(time for time in times if time >= now)
