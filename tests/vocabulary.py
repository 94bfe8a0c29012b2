"""The words that random definitions and histories are made of: few, so that conditions are often true."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from oracle import duration, instant

Plain = dict[str, Any]

START = instant("2026-03-27T00:00:00Z") or 0
WINDOWS = ["30s", "15m", "1h", "2h", "1d", "1w"]
STEPS = [duration(text) for text in WINDOWS if text != "1w"]
NUDGES = [0, 0, 0, -1, 1]
DELAYS = [0, 0, 0, 1, *STEPS]
ZONES = ["UTC", "America/New_York", "Asia/Beirut"]
DATES = [f"2026-03-{day}" for day in range(27, 31)]
USERS = ["u1", "u2", "u3"]
ANONYMOUS = ["a1", "a2", "a3"]
EVENTS = ["Viewed", "Ordered"]
TYPES = ["track", "page", "screen"]
TOPICS = ["news", "offers"]
CHANNELS = ["push", "email"]


def iso(moment: int, zone: timezone = UTC) -> str:
    """Microseconds since the epoch as ISO 8601 text in a fixed zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(zone).isoformat()


#: Most moments are counted from one start, some from the start of a day somewhere.
ORIGINS = [START] * 40 + [instant(date, ZoneInfo(zone)) or START for date in DATES for zone in ZONES]
MOMENTS = st.builds(
    lambda origin, steps, nudge: origin + sum(steps) + nudge,
    st.sampled_from(ORIGINS),
    st.lists(st.sampled_from(STEPS), max_size=2),
    st.sampled_from(NUDGES),
)
TIMES = st.builds(iso, MOMENTS, st.sampled_from([UTC, timezone(timedelta(hours=9))]))
NUMBERS = st.sampled_from([1, 2, 2.0, 2.5])
TEXTS = st.sampled_from(["book", "toy", "Toy story", "2"])
PLANS = st.sampled_from(["free", "pro", "pro_plus"])
LISTS = st.lists(st.one_of(TEXTS, NUMBERS, st.none()), max_size=3)
#: What stands where another type was meant.
STRAY = st.sampled_from([True, 1, "2", "", "2026-03-29", "2026-03-29T00:00:00", []])


def mostly(values: SearchStrategy[Any], *others: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Four times out of five or six. (`one_of` would take each strategy once, however often it is written.)"""
    return st.sampled_from([values] * 4 + list(others)).flatmap(lambda chosen: chosen)


#: What is in a part of a line; a part may be no object.
PARTS = st.lists(
    mostly(st.fixed_dictionaries({}, optional={"name": TEXTS, "size": NUMBERS}), STRAY | st.none()), max_size=2
)
LINE = st.fixed_dictionaries(
    {}, optional={"category": mostly(TEXTS, st.none()), "price": mostly(NUMBERS, STRAY), "parts": mostly(PARTS, STRAY)}
)
LINES = st.lists(mostly(LINE, STRAY | st.none()), max_size=2)


VERSIONS = st.sampled_from(["1.9", "2.9.5", "2.10", "2.10.0", "3", "0"])
#: Shibuya, not far from there, Osaka, and the other end of the world.
PLACES = st.sampled_from([(35.6595, 139.7005), (35.68, 139.77), (34.7, 135.5), (-35.6595, -40.2995)]).map(
    lambda place: {"latitude": place[0], "longitude": place[1]}
)
