"""Times are read and written exactly."""

from calendar import timegm
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.times import FIRST_TIME, LAST_TIME, read_time, write_time


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001  # the zone is written by the test
    st.text("0123456789", max_size=30),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_every_digit_counts_up_to_the_sixth(moment: datetime, digits: str, offset: int) -> None:
    fraction = f".{digits}" if digits else ""
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{fraction}{sign}{minutes // 60:02}:{minutes % 60:02}"
    expected = (timegm(moment.timetuple()) - offset * 60) * 1_000_000 + int(digits[:6].ljust(6, "0"))
    assert read_time(text) == expected


@given(st.integers(FIRST_TIME, LAST_TIME))
def test_what_is_written_reads_back(time: int) -> None:
    assert read_time(write_time(time)) == time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T09:00:00.0000019+09:00", 1),
        ("1970-01-01 00:00Z", 0),
        ("0001-01-01T00:00:00Z", FIRST_TIME),
        ("9999-12-31T23:59:59.999999999Z", LAST_TIME),
    ],
)
def test_known_times(text: str, expected: int) -> None:
    assert read_time(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-03-10",
        "2026-03-10T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-03-10T12:00:00.123456garbageZ",
        "2026-03-10T12:00:00.1234567x+00:00",
        "2026-03-10T12:00:00+24:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "\x00",
    ],
)
def test_unreadable_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|years"):
        read_time(text)


@given(st.text() | st.text("0123456789-:TZ+.,W ", max_size=40))
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        time = read_time(text)
    except ValueError:
        return
    assert FIRST_TIME <= time <= LAST_TIME
