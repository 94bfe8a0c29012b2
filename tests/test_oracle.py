"""The oracle against answers worked out by hand from the rules: conditions, operators and paths."""

from typing import Any

import pytest
from calls import DAY, HOUR, NOON, at, call, identify, is_member, track
from oracle import memberships

Plain = dict[str, Any]
A = {"event": "A"}


@pytest.mark.parametrize(
    ("condition", "age", "expected"),
    [
        # within: (now - W, now]
        (A | {"within": "1h"}, 0, True),
        (A | {"within": "1h"}, HOUR - 1, True),
        (A | {"within": "1h"}, HOUR, False),
        # since: at or after
        (A | {"since": NOON}, 5 * DAY, True),
        (A | {"since": "2026-03-10T12:00:00.000001Z"}, 5 * DAY, False),
        (A | {"since": "2026-03-10"}, 0, True),
        (A | {"since": "2026-03-11"}, 0, False),
        # first and last
        (A | {"last": {"within": "1d"}}, DAY - 1, True),
        (A | {"last": {"within": "1d"}}, DAY, False),
        (A | {"last": {"older_than": "1d"}}, DAY - 1, False),
        (A | {"last": {"older_than": "1d"}}, DAY, True),
        (A | {"first": {"older_than": "1w"}}, 7 * DAY - 1, False),
        (A | {"first": {"older_than": "1w"}}, 7 * DAY, True),
        # missing: the newest A is at least D old
        (A | {"missing": {"event": "B", "within": "2h"}}, 2 * HOUR - 1, False),
        (A | {"missing": {"event": "B", "within": "2h"}}, 2 * HOUR, True),
        (A | {"missing": {"event": "B", "within": "2h"}}, 90 * DAY, True),
        (A | {"within": "3h", "missing": {"event": "B", "within": "2h"}}, 3 * HOUR - 1, True),
        (A | {"within": "3h", "missing": {"event": "B", "within": "2h"}}, 3 * HOUR, False),
        (A | {"since": "2026-03-10T12:00:00.000001Z", "missing": {"event": "B", "within": "2h"}}, DAY, False),
        (A | {"since": NOON, "missing": {"event": "B", "within": "2h"}}, DAY, True),
    ],
)
def test_one_event_crosses_its_boundary_to_the_microsecond(condition: Plain, age: int, expected: bool) -> None:
    assert is_member(condition, [track("A")], at(NOON) + age) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (A | {"first": {"within": "3h"}}, False),  # the first is exactly 3 h old
        (A | {"first": {"within": "4h"}}, True),
        (A | {"last": {"within": "1h"}}, False),
        (A | {"last": {"within": "2h"}}, True),
        (A | {"count": {"is": 3}}, True),
        (A | {"count": {"at_least": 4}}, False),
        (A | {"count": {"between": [1, 2]}}, False),
        (A | {"within": "3h", "count": {"is": 2}}, True),
        (A | {"within": "3h", "count": {"more_than": 2}}, False),
        (A | {"within": "1h", "count": {"less_than": 1}}, True),
        (A | {"since": "2026-03-10T10:00:00Z", "count": {"at_most": 2}}, True),
    ],
)
def test_three_events_at_nine_ten_and_eleven(condition: Plain, expected: bool) -> None:
    history = [track("A", f"2026-03-10T{hour}:00:00Z") for hour in ("11", "09", "10")]
    assert is_member(condition, history) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("2026-03-10T09:59:59.999999Z", True),  # before the newest A
        ("2026-03-10T10:00:00Z", False),  # at its instant
        ("2026-03-10T11:30:00Z", False),  # after it, and even after the hour
    ],
)
def test_what_answers_a_missing_event(other: str, expected: bool) -> None:
    history = [track("A", "2026-03-10T08:00:00Z"), track("A", "2026-03-10T10:00:00Z"), track("B", other)]
    assert is_member(A | {"missing": {"event": "B", "within": "1h"}}, history) is expected


def test_a_missing_event_is_asked_of_the_newest_a_only() -> None:
    history = [track("A", "2026-03-10T08:00:00Z"), track("A", "2026-03-10T11:30:00Z")]
    assert not is_member(A | {"missing": {"event": "B", "within": "1h"}}, history)


def test_an_event_cannot_be_missing_after_itself() -> None:
    history = [track("A", "2026-03-10T08:00:00Z")]
    assert not is_member(A | {"missing": {"event": "A", "within": "1h"}}, history)


def test_missing_looks_at_type_and_where_of_both() -> None:
    condition = A | {
        "where": {"cart": {"is": 1}},
        "missing": {"event": "B", "type": "page", "where": {"paid": {"is": True}}, "within": "1h"},
    }
    first = track("A", "2026-03-10T08:00:00Z", properties={"cart": 1})
    newer = track("A", "2026-03-10T11:30:00Z", properties={"cart": 2})
    page = call("page", "2026-03-10T09:00:00Z", name="B", properties={"paid": True})
    assert is_member(condition, [first, newer])
    assert not is_member(condition, [first, newer, page])
    assert is_member(condition, [first, newer, page | {"properties": {"paid": 1}}])
    assert is_member(condition, [first, newer, track("B", properties={"paid": True})])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (A, False),
        ({"not": A}, True),
        (A | {"count": {"at_most": 0}}, True),
        (A | {"count": {"is": 0}}, True),
        (A | {"last": {"older_than": "1s"}}, False),
        (A | {"first": {"within": "4w"}}, False),
        (A | {"missing": {"event": "B", "within": "1s"}}, False),
        ({"attribute": "plan", "is_not": "pro"}, False),
        ({"attribute": "plan", "not_in": ["pro"]}, False),
        ({"not": {"attribute": "plan", "is": "pro"}}, True),
        ({"attribute": "plan", "exists": False}, True),
        ({"attribute": "plan", "exists": True}, False),
        ({"identified": True}, True),
        ({"all": [{"not": A}, {"any": [A, {"identified": True}]}]}, True),
    ],
)
def test_a_user_of_whom_little_is_known(condition: Plain, expected: bool) -> None:
    assert is_member(condition, [track("Other")]) is expected


def test_not_includes_anonymous_profiles_and_each_profile_starts_at_its_first_arrival() -> None:
    rules = {"segments": {"quiet": {"members": {"not": A}}, "known": {"members": {"identified": True}}}}
    history = [
        track("Other", NOON, anonymousId="x"),
        track("Other", NOON, userId="u", arrival="2026-03-10T13:00:00Z"),
    ]
    history[0] |= {"messageId": "1"}
    assert memberships(rules, history, at(NOON) - 1) == {}
    assert memberships(rules, history, at(NOON) + HOUR - 1) == {"~x": {"quiet"}}
    assert memberships(rules, history, at(NOON) + HOUR) == {"~x": {"quiet"}, "u": {"quiet", "known"}}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (A, 3),
        (A | {"type": "track"}, 1),
        (A | {"type": "page"}, 2),
        (A | {"type": "screen"}, 0),
        (A | {"where": {"total": {"at_least": 5}}}, 2),
        (A | {"where": {"total": {"at_least": 5}, "lines[].kind": {"is": "shoe"}}}, 1),
        (A | {"where": {"lines[].kind": {"is_not": "shoe"}}}, 1),
        (A | {"where": {"lines[].kind": {"exists": False}}}, 2),
        (A | {"type": "page", "where": {"total": {"is": 5.0}}}, 1),
    ],
)
def test_type_and_where_choose_events(condition: Plain, expected: int) -> None:
    history = [
        track("A", NOON, properties={"total": 9, "lines": [{"kind": "hat"}, {"kind": "shoe"}]}),
        call("page", "2026-03-10T11:00:00Z", name="A", properties={"total": 5, "lines": []}),
        call("page", "2026-03-10T10:00:00Z", name="A", properties={"total": "9"}),
        call("identify", NOON, name="A", event="A", messageId="not an event"),
    ]
    assert is_member(condition | {"count": {"is": expected}}, history)


VALUE_TABLE: list[tuple[Any, Plain, bool]] = [
    (5, {"is": 5.0}, True),
    (5, {"is": "5"}, False),
    (5, {"is_not": "5"}, False),  # different types: false
    (5, {"is_not": 6}, True),
    (True, {"is": 1}, False),
    (True, {"is_not": 1}, False),
    (True, {"is": True}, True),
    (1, {"in": [True, "1"]}, False),
    (1, {"in": [True, 1.0]}, True),
    (1, {"not_in": [2, 3]}, True),
    (1, {"not_in": ["a"]}, False),
    (None, {"is_not": "a"}, False),
    (None, {"exists": False}, True),
    (0, {"exists": True}, True),
    ([], {"exists": True}, True),
    (5, {"between": [5, 6]}, True),
    (6, {"between": [5, 6]}, True),
    (6.5, {"between": [5, 6]}, False),
    (5, {"more_than": 5}, False),
    (5, {"at_most": 5}, True),
    (5, {"less_than": 5}, False),
    (True, {"at_least": 0}, False),
    ("5", {"at_least": 0}, False),
    ("abc", {"contains": "b"}, True),
    ("abc", {"contains": "B"}, False),
    (["abc"], {"contains": "b"}, False),
    (["b", 1], {"contains": "b"}, True),
    ([1], {"contains": True}, False),
    ([1], {"contains": 1.0}, True),
    ({"b": 1}, {"contains": "b"}, False),
    (["a"], {"is": "a"}, False),
    ("abc", {"starts_with": "ab"}, True),
    ("abc", {"ends_with": "ab"}, False),
    (12, {"starts_with": "1"}, False),
    ("abc", {"matches": "b.$"}, True),
    ("abc", {"matches": "^b"}, False),
    ("2026-03-10T12:00:00Z", {"before": NOON}, False),
    ("2026-03-10T20:59:59+09:00", {"before": NOON}, True),
    ("2026-03-10T12:00:00Z", {"after": NOON}, False),
    ("2026-03-10T12:00:00.000001Z", {"after": NOON}, True),
    ("2026-03-10T11:00:00", {"before": NOON}, False),  # no zone: not a time
    (1_700_000_000, {"before": NOON}, False),
    ("2026-13-01", {"before": NOON}, False),
    ("2026-03-10", {"before": NOON}, True),
    ("2026-03-11", {"after": "2026-03-10"}, True),
    ("2026-03-10T11:00:00Z", {"within": "1h"}, False),
    ("2026-03-10T11:00:00.000001Z", {"within": "1h"}, True),
    ("2026-03-10T12:00:00Z", {"within": "1h"}, True),
    ("2026-03-10T12:00:00.000001Z", {"within": "1h"}, False),  # still to come
    ("2026-03-10T11:00:00Z", {"older_than": "1h"}, True),
    ("2026-03-10T11:00:00.000001Z", {"older_than": "1h"}, False),
    ("2026-03-10", {"within": "12h"}, False),
    ("2026-03-10", {"older_than": "12h"}, True),
    ("2026-03-10T12:00:00Z", {"within_next": "1h"}, True),
    ("2026-03-10T11:59:59.999999Z", {"within_next": "1h"}, False),
    ("2026-03-10T12:59:59.999999Z", {"within_next": "1h"}, True),
    ("2026-03-10T13:00:00Z", {"within_next": "1h"}, False),
    ("1990-03-10", {"anniversary": True}, True),
    ("1990-03-10T23:59:59Z", {"anniversary": True}, True),
    ("1990-03-11", {"anniversary": True}, False),
    ("1990-03-17", {"anniversary": {"before": "7d"}}, True),
    ("1990-03-16", {"anniversary": {"before": "7d"}}, False),
    ("2000-03-09", {"anniversary": {"before": "364d"}}, True),
    ("03-10", {"anniversary": True}, False),
    ("2.10", {"version_at_least": "2.9.1"}, True),
    ("2.10", {"version_at_least": "2.10.0"}, True),
    ("2.10", {"version_less_than": "2.10.0.1"}, True),
    ("2.10-beta", {"version_less_than": "3"}, False),
    (2.1, {"version_less_than": "3"}, False),
]


@pytest.mark.parametrize(("value", "test", "expected"), VALUE_TABLE)
def test_operators(value: Any, test: Plain, expected: bool) -> None:
    assert is_member({"attribute": "x", **test}, [identify({"x": value})]) is expected


@pytest.mark.parametrize(
    ("path", "test", "expected"),
    [
        ("home.city", {"is": "Kyoto"}, True),
        ("home.town", {"exists": False}, True),
        ("home.city.name", {"exists": True}, False),
        ("tags[]", {"is": "b"}, True),
        ("tags[]", {"is_not": "b"}, True),  # "a" is not
        ("tags", {"is": "b"}, False),
        ("none[]", {"exists": False}, True),
        ("none[]", {"is_not": "b"}, False),
        ("home[]", {"exists": True}, False),
        ("orders[].lines[].price", {"at_least": 30}, True),
        ("orders[].lines[].price", {"more_than": 30}, False),
        ("orders.lines", {"exists": True}, False),
    ],
)
def test_paths(path: str, test: Plain, expected: bool) -> None:
    traits = {
        "home": {"city": "Kyoto"},
        "tags": ["a", None, "b"],
        "none": [],
        "orders": [{"lines": [{"price": 10}]}, {}, {"lines": [{"price": 30}, {"price": None}]}],
    }
    assert is_member({"attribute": path, **test}, [identify(traits)]) is expected


def test_segments_refer_to_each_other() -> None:
    rules = {"segments": {"not_a": {"members": {"not": {"segment": "a"}}}, "a": {"members": A}}}
    history = [track("A", userId="u"), track("B", userId="v")]
    assert memberships(rules, history, at(NOON)) == {"u": {"a"}, "v": {"not_a"}}


@pytest.mark.parametrize(
    "condition",
    [
        A | {"within": "1d", "last": {"within": "1h"}},
        A | {"same": "x", "average": {"of": "x", "at_least": 1}},
        A | {"same": "x", "missing": {"event": "B", "within": "1h"}},
        A | {"missing": {"event": "B", "since": NOON, "within": "1h"}},
        {"sequence": [A, A], "since": NOON},
        {"identified": False},
        {"bucket": {"salt": "x", "from": 0, "below": 10, "of": 5}},
        {"reachable": "fax"},
    ],
)
def test_what_the_oracle_does_not_know_it_refuses(condition: Plain) -> None:
    with pytest.raises(ValueError, match="not a"):
        is_member(condition, [track("A"), identify({"version": "2"})])
