"""Durations, times, paths, and the start of a day in the user's zone, at edges that the oracle's tests leave out."""

import tracemalloc
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.identity.zones import known_zone
from transforms.segments.evidence import hash_of, value_hashes
from transforms.segments.values import DAY, HOUR, SECOND, compile_path, duration, instant, start_of_day

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604_800),
        ("4w", 2_419_200),
        ("01d", 86_400),
        ("5200w", 3_144_960_000),
    ],
)
def test_durations(text, seconds):
    assert duration(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "7 d", "1.5h", "7D", "7ms", "1d12h", "7d ", "٧d", "0d", None, 7, True, ["7d"]]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize("text", ["1mo", "1M", "2 months", "1 month", "1y", "3Y", "10 years"])
def test_months_and_years_are_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="no fixed length; write days or weeks, such as 30d or 52w"):
        duration(text)


DATA = {
    "revenue": 5,
    "none": None,
    "flags": [True, None, False],
    "products": [{"category": "shoes", "tags": ["a", "b"]}, {"category": None}, "stray", {"tags": "c"}],
    "home": {"city": "Kyoto", "geo": {"lat": 35}},
    "a b": {"ключ": 1},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("revenue", [5]),
        ("none", []),
        ("other", []),
        ("home.city", ["Kyoto"]),
        ("home.geo.lat", [35]),
        ("home.geo", [{"lat": 35}]),
        ("home.city.name", []),
        ("home[]", []),
        ("revenue[]", []),
        ("flags", [[True, None, False]]),
        ("flags[]", [True, False]),
        ("products[].category", ["shoes"]),
        ("products[].tags[]", ["a", "b"]),
        ("products[].tags", [["a", "b"], "c"]),
        ("products.category", []),
        ("a b.ключ", [1]),
    ],
)
def test_paths(path, values):
    assert compile_path(path)(DATA) == values


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "[]", "a[]b", "a[0]", "a[][]", "a]", "a["])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match="expected a path"):
        compile_path(path)


@pytest.mark.parametrize(
    ("day", "zone", "start"),
    [
        (
            "2026-03-29",
            "Asia/Beirut",
            "2026-03-28T22:00:00Z",
        ),  # midnight is skipped: 01:00 (+03:00) is the first moment
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00Z"),  # two midnights: the first
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # the day that Samoa left out: 24 h on
        ("2026-07-01", "Nowhere/Land", "2026-07-01T00:00:00Z"),
        ("1970-01-01", "UTC", "1970-01-01T00:00:00Z"),
    ],
)
def test_the_start_of_a_day(day, zone, start):
    expected = (datetime.fromisoformat(start) - EPOCH) // timedelta(microseconds=1)
    assert start_of_day(date.fromisoformat(day), zone) == expected


@given(st.dates(), st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12"]))
def test_every_day_of_every_calendar_year_begins(day, zone):
    """Also the first of year 1 east of Greenwich, which begins in no year that `datetime` knows."""
    start = start_of_day(day, zone)
    assert abs(start - (day - date(1970, 1, 1)).days * DAY) <= 15 * HOUR
    assert instant(day.isoformat(), zone) == start


@given(st.integers(-20 * 366, 60 * 366), st.sampled_from(["Asia/Beirut", "America/Havana", "Pacific/Chatham"]))
def test_a_day_begins_no_later_than_anything_in_it(days, zone):
    time = days * DAY + 5 * HOUR + 1
    local = (EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone))
    assert start_of_day(local.date(), zone) <= time < start_of_day(local.date() + timedelta(days=1), zone)


@pytest.mark.parametrize(
    "value",
    [None, 5, True, ["2026-07-01"], "", "2026-07", "20260701", "2026-07-01T10:00", "2026-07-01 10:00Z", "10:00Z"],
)
def test_what_is_no_time(value):
    assert instant(value, "UTC") is None


def test_what_users_write_is_not_kept_whatever_its_length() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(50):
        text = f"{number}2026-07-01T00:00:00Z" + "x" * 1_000_000
        assert instant(text[1:], "UTC") is None
        assert value_hashes([text]) == [hash_of(f'"{text}"')]
        assert not known_zone(text)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 5_000_000
