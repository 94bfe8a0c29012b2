"""The oracle against answers worked out by hand: totals, values, sequences and places."""

from typing import Any

import pytest
from calls import DAY, HOUR, NOON, at, call, identify, is_member, track

Plain = dict[str, Any]
A = {"event": "A"}
SECOND = 1_000_000


def spent(*amounts: Any, path: str = "n") -> list[Plain]:
    """One A an hour, each with a property, the last at eleven."""
    return [
        track("A", f"2026-03-10T{12 - len(amounts) + hour:02}:00:00Z", properties={path: amount})
        for hour, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize(
    ("amounts", "condition", "expected"),
    [
        ([5, 2.5], {"sum": {"of": "n", "is": 7.5}}, True),
        ([5, "2", True, None, [9]], {"sum": {"of": "n", "is": 5}}, True),
        ([0.1, 0.2], {"sum": {"of": "n", "is": 0.3}}, True),
        ([1e18, -1e18, 1], {"sum": {"of": "n", "is": 1}}, True),
        ([1.0000004], {"sum": {"of": "n", "is": 1}}, True),
        ([0.0000035, 0.0000025], {"sum": {"of": "n", "is": 0.000006}}, True),  # half to even: 4 and 2
        ([], {"sum": {"of": "n", "at_most": 0}}, True),
        ([], {"average": {"of": "n", "at_most": 0}}, False),
        ([], {"minimum": {"of": "n", "at_most": 0}}, False),
        (["x"], {"maximum": {"of": "n", "at_least": -9}}, False),
        ([1, 2, 2], {"average": {"of": "n", "more_than": 1.666666}}, True),
        ([1, 2, 2], {"average": {"of": "n", "more_than": 1.666667}}, False),
        ([3, 1, 2], {"minimum": {"of": "n", "is": 1}}, True),
        ([3, 1, 2], {"maximum": {"of": "n", "between": [3, 4]}}, True),
        ([5, 5.0, "5", True, 1, None, [5]], {"distinct": {"of": "n", "is": 4}}, True),
        ([], {"distinct": {"of": "n", "is": 0}}, True),
        ([1, 2, 1], {"same": "n", "count": {"is": 2}}, True),
        ([1, 2, 3], {"same": "n", "count": {"at_least": 2}}, False),
        ([1, 2], {"same": "n", "count": {"at_most": 0}, "within": "1h"}, True),
        ([], {"same": "n", "count": {"at_most": 5}}, False),
        ([5, 2], {"same": "n", "sum": {"of": "n", "at_least": 6}}, False),
        ([5, 2, 5], {"same": "n", "sum": {"of": "n", "at_least": 6}}, True),
    ],
)
def test_amounts_and_values(amounts: list[Any], condition: Plain, expected: bool) -> None:
    assert is_member(A | condition, [track("Other", "2026-03-09T00:00:00Z"), *spent(*amounts)]) is expected


def test_every_number_that_a_path_finds_counts() -> None:
    history = [track("A", properties={"lines": [{"price": 2}, {"price": "x"}, {}, {"price": 5}]})]
    assert is_member(A | {"sum": {"of": "lines[].price", "is": 7}}, history)
    assert is_member(A | {"average": {"of": "lines[].price", "is": 3.5}}, history)
    assert is_member(A | {"distinct": {"of": "lines[].price", "is": 3}}, history)
    assert not is_member(A | {"sum": {"of": "lines.price", "is": 7}}, history)


@pytest.mark.parametrize(
    ("window", "time", "last"),
    [
        # 512 s: buckets of a second. The one of 12:00:00.4 ends at 12:00:01.
        ("512s", "2026-03-10T12:00:00.4Z", at("2026-03-10T12:00:01Z") + 512 * SECOND),
        ("30s", "2026-03-10T12:00:00Z", at("2026-03-10T12:00:01Z") + 30 * SECOND),
        # A day: buckets of 168.75 s, the 512th part, counted from the epoch.
        ("1d", "2026-03-10T00:00:00Z", at("2026-03-10T00:02:48.750Z") + DAY),
        ("1d", "2026-03-10T00:02:48.750Z", at("2026-03-10T00:05:37.500Z") + DAY),
    ],
)
@pytest.mark.parametrize(
    "condition",
    [
        {"sum": {"of": "n", "is": 1}},
        {"average": {"of": "n", "is": 1}},
        {"minimum": {"of": "n", "is": 1}},
        {"maximum": {"of": "n", "is": 1}},
        {"sum": {"of": "n", "is": 1}, "same": "n"},
        {"count": {"between": [1, 1001]}},
        {"count": {"between": [1, 1001]}, "same": "n"},
    ],
)
def test_a_window_of_buckets_ends_with_the_bucket(condition: Plain, window: str, time: str, last: int) -> None:
    history = [track("A", time, properties={"n": 1})]
    assert is_member(A | condition | {"within": window}, history, last - 1)
    assert not is_member(A | condition | {"within": window}, history, last)


def test_counts_up_to_a_thousand_and_different_values_are_exact() -> None:
    history = [track("A", "2026-03-10T12:00:00.4Z", properties={"n": 1})]
    end = at("2026-03-10T12:00:00.4Z") + HOUR
    for condition in ({"count": {"between": [1, 1000]}}, {"distinct": {"of": "n", "is": 1}}):
        assert is_member(A | condition | {"within": "1h"}, history, end - 1)
        assert not is_member(A | condition | {"within": "1h"}, history, end)


def test_of_the_values_of_same_the_newest_64_are_asked() -> None:
    history = [track("A", f"2026-03-10T10:00:{n:02}Z", properties={"n": f"v{n}"}) for n in range(60)]
    history += [track("A", f"2026-03-10T10:01:{n:02}Z", properties={"n": f"w{n}"}) for n in range(4)]
    oldest = {"same": "n", "count": {"at_least": 2}}
    twice = [track("A", "2026-03-10T09:59:00Z", properties={"n": "v0"})]
    assert is_member(A | oldest, history + twice)
    assert not is_member(A | oldest, [*history, *twice, track("A", properties={"n": "w9"})])


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], True),
        ([track("B", "2026-03-10T10:30:00Z", properties={"cart": 2})], True),  # of another cart
        ([track("B", "2026-03-10T10:30:00Z", properties={"cart": 1})], False),
        ([track("B", "2026-03-10T10:30:00Z")], True),
        ([track("A", "2026-03-10T11:30:00Z", properties={"cart": 2})], True),  # the other is not yet overdue
        ([track("A", "2026-03-10T11:30:00Z", properties={"cart": 1})], False),
    ],
)
def test_a_missing_event_of_the_same_value(others: list[Plain], expected: bool) -> None:
    history = [track("A", "2026-03-10T10:00:00Z", properties={"cart": 1}), *others]
    assert is_member(A | {"missing": {"event": "B", "same": "cart", "within": "1h"}}, history) is expected


def steps(text: str) -> list[Plain]:
    """Events named by letters, one a minute, the last at noon."""
    return [
        track(letter, f"2026-03-10T11:{60 - len(text) + minute:02}:00Z")
        for minute, letter in enumerate(text)
        if letter != " "
    ]


@pytest.mark.parametrize(
    ("events", "sequence", "within", "expected"),
    [
        ("AB", "AB", None, True),
        ("BA", "AB", None, False),
        ("ACB", "AB", None, True),
        ("A", "AA", None, False),
        ("AA", "AA", None, True),
        ("A B", "AB", "2m", False),  # exactly two minutes apart
        ("A B", "AB", "121s", True),
        ("A BA B", "ABA", "121s", True),
        ("AABB", "AB", "61s", True),  # the second A and the first B
        ("ABABC", "ABC", "61s", True),
        ("ABBC", "ABC", "61s", False),
    ],
)
def test_events_one_after_another(events: str, sequence: str, within: str | None, expected: bool) -> None:
    gap = {} if within is None else {"within": within}
    condition = {"sequence": [{"event": name} | (gap if number else {}) for number, name in enumerate(sequence)]}
    assert is_member(condition, steps(events)) is expected


def test_the_last_event_of_a_sequence_is_in_the_window() -> None:
    condition = {"sequence": [{"event": "A"}, {"event": "B"}], "within": "10m"}
    history = [track("A", "2026-03-10T11:00:00Z"), track("B", "2026-03-10T12:00:00Z")]
    assert is_member(condition, history, at(NOON) + 600 * SECOND - 1)
    assert not is_member(condition, history, at(NOON) + 600 * SECOND)


def test_any_event_is_a_track_page_or_screen() -> None:
    history = [
        track("A", "2026-03-10T09:00:00Z"),
        call("page", "2026-03-10T10:00:00Z"),
        call("screen", "2026-03-10T11:00:00Z", name="S"),
        identify({"x": 1}),
    ]
    assert is_member({"event": "any", "count": {"is": 3}}, history)
    assert is_member({"event": "any", "type": "page", "count": {"is": 1}}, history)


@pytest.mark.parametrize(
    ("place", "kilometres", "expected"),
    [
        ({"latitude": 35.681236, "longitude": 139.767125}, 6.5, True),  # Tokyo station, 6.48 km from Shibuya
        ({"latitude": 35.681236, "longitude": 139.767125}, 6.4, False),
        ({"latitude": 34.702485, "longitude": 135.495951}, 398, True),  # Osaka
        ({"latitude": 34.702485, "longitude": 135.495951}, 395, False),
        ({"latitude": -35.6595, "longitude": -40.2995}, 20_016, True),  # the other end of the world
        ({"latitude": -35.6595, "longitude": -40.2995}, 20_000, False),
        ({"latitude": "35.7", "longitude": 139.7}, 100, False),
        ({"latitude": 91, "longitude": 139.7}, 20_100, False),
        ({"latitude": 35.7}, 100, False),
        ([35.7, 139.7], 100, False),
    ],
)
def test_how_far_it_is_from_shibuya(place: Any, kilometres: float, expected: bool) -> None:
    condition = {"attribute": "home", "latitude": 35.6595, "longitude": 139.7005, "within_km": kilometres}
    assert is_member({"near": condition}, [identify({"home": place})]) is expected
    seen = [track("A", context={"location": place})]
    assert is_member({"near": {**condition, "attribute": "context.location"}}, seen) is expected
    several = {**condition, "attribute": "homes[]"}
    assert is_member({"near": several}, [identify({"homes": [{}, place]})]) is expected


def test_percentiles_are_stable_and_even() -> None:
    users = [f"u{number}" for number in range(400)]

    def within(salt: str, low: int) -> list[str]:
        share = {"bucket": {"salt": salt, "from": low, "below": low + 25}}
        return [user for user in users if is_member(share, [track("A", userId=user)], profile=user)]

    found = [within("x", low) for low in (0, 25, 50, 75)]
    assert sorted(user for share in found for user in share) == sorted(users)
    assert all(70 < len(share) < 130 for share in found)
    assert within("y", 0) != found[0]
