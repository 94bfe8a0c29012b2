"""The oracle against answers worked out by hand from the rules, and the generators against what they promise."""

from collections.abc import Iterable
from typing import Any

import pytest
from generators import definitions, histories, instants, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import instant, memberships, read

Plain = dict[str, Any]

NOON = "2026-03-10T12:00:00Z"
HOUR = 3_600_000_000
DAY = 24 * HOUR


def at(text: str) -> int:
    moment = instant(text)
    assert moment is not None
    return moment


def call(type_: str, time: str, /, **fields: Any) -> Plain:
    """A message of user `u`, arriving when it happens, unless `fields` say otherwise."""
    whose = {} if "anonymousId" in fields else {"userId": "u"}
    message_id = f"{type_}-{time}-{fields.get('event', '')}"
    return {"type": type_, "messageId": message_id, "timestamp": time, "arrival": time} | whose | fields


def track(name: str, time: str = NOON, /, **fields: Any) -> Plain:
    return call("track", time, event=name, **fields)


def identify(traits: Plain, time: str = NOON, /, **fields: Any) -> Plain:
    return call("identify", time, traits=traits, **fields)


def consent(topic: str, channel: str, granted: bool, time: str = NOON, /, **fields: Any) -> Plain:
    properties = {"topic": topic, "channel": channel, "granted": granted}
    return track("Consent Changed", time, properties=properties, **fields)


def is_member(
    condition: Plain, history: Iterable[Plain], as_of: int | str = NOON, zone: str = "UTC", profile: str = "u"
) -> bool:
    rules = {"segments": {"s": {"members": condition}}, "policies": {"default_zone": zone}}
    now = at(as_of) if isinstance(as_of, str) else as_of
    return "s" in memberships(rules, list(history), now)[profile]


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


def test_traits_are_the_last_written_by_event_time_then_message_id_and_null_deletes() -> None:
    newest = identify({"plan": None, "home": {"city": "Kyoto"}}, "2026-03-10T11:00:00Z")
    late = identify({"plan": "pro", "home": {"zip": 1}}, "2026-03-10T10:00:00Z", arrival=NOON)
    history = [newest, late]
    assert is_member({"attribute": "plan", "exists": False}, history)
    assert is_member({"attribute": "home.city", "is": "Kyoto"}, history)
    assert is_member({"attribute": "home.zip", "exists": False}, history)
    assert is_member({"attribute": "plan", "is": "pro"}, [late])
    tie = [identify({"plan": plan}, messageId=id_) for id_, plan in (("m2", "second"), ("m1", "first"))]
    assert is_member({"attribute": "plan", "is": "second"}, tie)


def test_context_is_that_of_the_newest_call_that_has_it() -> None:
    history = [
        track("A", "2026-03-10T09:00:00Z", context={"os": {"name": "ios"}, "locale": "ja", "page": {"url": "x"}}),
        identify({}, "2026-03-10T10:00:00Z", context={"os": {"name": None}, "locale": "en"}),
        track("A", "2026-03-10T08:00:00Z", arrival=NOON, context={"locale": "de", "location": {"city": "Ulm"}}),
    ]
    assert is_member({"attribute": "context.os.name", "is": "ios"}, history)
    assert is_member({"attribute": "context.locale", "is": "en"}, history)
    assert is_member({"attribute": "context.location.city", "is": "Ulm"}, history)
    assert is_member({"attribute": "context.page.url", "exists": False}, history)


@pytest.mark.parametrize(
    ("zone", "date", "start"),
    [
        ("Asia/Tokyo", "2026-03-10", "2026-03-09T15:00:00Z"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z"),  # clocks change at two: still -05:00
        ("America/New_York", "2026-03-09", "2026-03-09T04:00:00Z"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z"),  # no midnight: 00:00 becomes 01:00 +03:00
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),  # two midnights: the first, -04:00
    ],
)
def test_a_date_is_the_start_of_the_day_in_the_users_zone(zone: str, date: str, start: str) -> None:
    history = [identify({"since": date}, "2026-03-01T00:00:00Z")]
    younger = {"attribute": "since", "within": "1h"}
    assert not is_member(younger, history, at(start) - 1, zone)
    assert is_member(younger, history, at(start), zone)
    assert is_member(younger, history, at(start) + HOUR - 1, zone)
    assert not is_member(younger, history, at(start) + HOUR, zone)


def test_the_zone_is_the_trait_then_the_newest_context_then_the_default() -> None:
    """Midnight of 10 March: Tokyo 15:00Z of the 9th, Berlin 23:00Z of the 9th, New York 04:00Z of the 10th (DST)."""
    day = identify({"day": "2026-03-10"}, "2026-03-01T00:00:00Z")
    berlin = track("A", "2026-03-02T00:00:00Z", context={"timezone": "Europe/Berlin"})
    nowhere = track("A", "2026-03-03T00:00:00Z", context={"timezone": "Mars/Olympus"})
    tokyo = identify({"timezone": "Asia/Tokyo"}, "2026-03-01T01:00:00Z")
    wrong = identify({"timezone": "Mars/Olympus"}, "2026-03-04T00:00:00Z")
    for history, start in [
        ([day], "2026-03-10T04:00:00Z"),
        ([day, berlin], "2026-03-09T23:00:00Z"),
        ([day, berlin, nowhere], "2026-03-09T23:00:00Z"),
        ([day, berlin, tokyo], "2026-03-09T15:00:00Z"),
        ([day, berlin, tokyo, wrong], "2026-03-09T23:00:00Z"),
    ]:
        begun = {"attribute": "day", "older_than": "1s"}
        assert not is_member(begun, history, at(start) + 999_999, "America/New_York")
        assert is_member(begun, history, at(start) + 1_000_000, "America/New_York")


def test_consent_is_the_last_word_and_unset_depends_on_the_channel() -> None:
    def consented(history: list[Plain], topic: str, channel: str) -> bool:
        return is_member({"consented": {"topic": topic, "channel": channel}}, [track("A"), *history])

    assert not consented([], "news", "email")
    assert consented([], "news", "push")
    grant = consent("news", "email", True, "2026-03-10T11:00:00Z")
    deny = consent("news", "email", False, "2026-03-10T10:00:00Z", arrival=NOON)
    assert consented([grant, deny], "news", "email")  # the denial came later and is older
    assert not consented([grant], "offers", "email")
    assert not consented([deny | {"timestamp": "2026-03-10T11:30:00Z"}, grant], "news", "email")
    closed = consent("all", "email", False, "2026-03-10T09:00:00Z")
    assert not consented([grant, closed], "news", "email")
    assert consented([closed], "news", "push")
    reopened = consent("all", "email", True, "2026-03-10T11:00:00Z", messageId="reopened")
    assert consented([grant, closed, reopened], "news", "email")
    assert not consented([closed, reopened], "news", "email")


def test_addresses() -> None:
    push, email = {"reachable": "push"}, {"reachable": "email"}
    assert not is_member(push, [track("A", context={"device": {"type": "ios"}})])
    assert is_member(push, [track("A", context={"device": {"type": "ios", "token": "t"}})])
    mailbox = identify({"email": "u@example.com"}, "2026-03-10T10:00:00Z")
    assert is_member(email, [mailbox])
    assert not is_member(email, [mailbox, identify({"email": None}, "2026-03-10T11:00:00Z")])


@pytest.mark.parametrize(
    "link",
    [
        call("identify", "2026-03-10T10:00:00Z", userId="u", anonymousId="x"),
        track("Other", "2026-03-10T10:00:00Z", userId="u", anonymousId="x"),
        call("alias", "2026-03-10T10:00:00Z", previousId="x"),
    ],
)
def test_an_anonymous_past_goes_to_the_user_who_identifies(link: Plain) -> None:
    rules = {"segments": {f"n{n}": {"members": A | {"count": {"is": n}}} for n in range(4)}}
    history = [
        track("A", "2026-03-10T08:00:00Z", anonymousId="x"),
        track("A", "2026-03-10T09:00:00Z"),
        link,
        track("A", "2026-03-10T11:00:00Z", anonymousId="x"),
    ]
    assert memberships(rules, history, at(link["arrival"]) - 1) == {"~x": {"n1"}, "u": {"n1"}}
    assert memberships(rules, history, at(link["arrival"])) == {"u": {"n2"}}
    assert memberships(rules, history, at(NOON)) == {"u": {"n3"}}


def test_a_later_identify_by_another_user_moves_new_anonymous_events_only() -> None:
    rules = {"segments": {f"n{n}": {"members": A | {"count": {"is": n}}} for n in range(5)}}
    history = [
        track("A", "2026-03-10T08:00:00Z", anonymousId="x"),
        call("identify", "2026-03-10T09:00:00Z", userId="u", anonymousId="x"),
        track("A", "2026-03-10T09:30:00Z", anonymousId="x"),
        call("identify", "2026-03-10T10:00:00Z", userId="v", anonymousId="x"),
        track("A", "2026-03-10T11:00:00Z", anonymousId="x"),
        # It happened while the device was u's, but came when it was v's.
        track("A", "2026-03-10T09:40:00Z", anonymousId="x", arrival="2026-03-10T11:10:00Z"),
        # Both ids: u's, and the device is u's again.
        track("A", "2026-03-10T11:20:00Z", userId="u", anonymousId="x"),
        track("A", "2026-03-10T11:30:00Z", anonymousId="x"),
    ]
    assert memberships(rules, history, at("2026-03-10T11:10:00Z")) == {"u": {"n2"}, "v": {"n2"}}
    assert memberships(rules, history, at(NOON)) == {"u": {"n4"}, "v": {"n2"}}


def test_a_message_counts_once_however_often_it_came() -> None:
    first = track("A", messageId="m", arrival="2026-03-10T12:30:00Z")
    again = first | {"arrival": "2026-03-10T13:00:00Z"}
    now = at("2026-03-10T14:00:00Z")
    assert is_member(A | {"count": {"is": 1}}, [again, first, first], now)
    assert memberships({"segments": {}}, [again, first], at("2026-03-10T12:30:00Z") - 1) == {}


@pytest.mark.parametrize(
    ("fields", "time", "arrival"),
    [
        ({"timestamp": NOON}, 0, 0),
        ({"timestamp": NOON, "receivedAt": "2026-03-10T13:00:00Z"}, 0, HOUR),
        ({"timestamp": NOON, "arrival": "2026-03-10T13:00:00Z", "receivedAt": "2026-03-10T12:30:00Z"}, 0, HOUR),
        ({"arrival": NOON}, 0, 0),
        ({"timestamp": None, "receivedAt": NOON}, 0, 0),
        ({"timestamp": "2026-03-10T13:00:00Z", "arrival": NOON}, 0, 0),  # after its arrival
        # The device's clock is three hours ahead.
        (
            {
                "timestamp": "2026-03-10T15:00:00Z",
                "sentAt": "2026-03-10T16:00:00Z",
                "receivedAt": "2026-03-10T13:00:00Z",
            },
            0,
            HOUR,
        ),
        ({"timestamp": NOON, "sentAt": "2026-03-10T16:00:00Z", "arrival": "2026-03-10T13:00:00Z"}, 0, HOUR),
    ],
)
def test_times_of_a_message(fields: Plain, time: int, arrival: int) -> None:
    found = read({"type": "track", "event": "A", "messageId": "m", "userId": "u"} | fields)
    assert found is not None
    assert (found.time - at(NOON), found.arrival - at(NOON)) == (time, arrival)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "purchase"},
        {"event": None},
        {"userId": None},
        {"userId": "null"},
        {"userId": ""},
        {"anonymousId": "[object Object]"},
        {"userId": "é" * 129},
        {"timestamp": "yesterday"},
        {"timestamp": "2026-03-10T12:00:00"},
        {"timestamp": None},
        {"properties": [1]},
    ],
)
def test_dead_letters_are_nobodys(fields: Plain) -> None:
    message = {"type": "track", "event": "A", "messageId": "m", "userId": "u", "timestamp": NOON}
    assert set(memberships({"segments": {}}, [message], at(NOON))) == {"u"}
    assert memberships({"segments": {}}, [message | fields], at(NOON)) == {}


def test_segments_refer_to_each_other() -> None:
    rules = {"segments": {"not_a": {"members": {"not": {"segment": "a"}}}, "a": {"members": A}}}
    history = [track("A", userId="u"), track("B", userId="v")]
    assert memberships(rules, history, at(NOON)) == {"u": {"a"}, "v": {"not_a"}}


@pytest.mark.parametrize(
    "condition",
    [
        {"event": "any"},
        A | {"same": "x"},
        A | {"sum": {"of": "x", "at_least": 1}},
        A | {"within": "1d", "last": {"within": "1h"}},
        A | {"missing": {"event": "B", "same": "x", "within": "1h"}},
        {"attribute": "version", "version_at_least": "2"},
        {"identified": False},
        {"bucket": {"salt": "x", "from": 0, "below": 10}},
    ],
)
def test_what_the_oracle_does_not_know_it_refuses(condition: Plain) -> None:
    with pytest.raises(ValueError, match="first set"):
        is_member(condition, [track("A"), identify({"version": "2"})])


@st.composite
def questions(draw: st.DrawFn) -> tuple[Plain, list[Plain], int]:
    history, rules = draw(histories()), draw(definitions())
    return rules, history, draw(st.sampled_from(instants(rules, history)))


#: Building a whole set of definitions and a history is slow for one example, and that is no flaw.
generated = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@generated
@given(questions(), st.data())
def test_order_and_repetition_do_not_matter(question: tuple[Plain, list[Plain], int], data: st.DataObject) -> None:
    rules, history, as_of = question
    again = [message | {"arrival": iso(as_of)} for message in history if at(message["arrival"]) <= as_of]
    mixed = data.draw(st.permutations(history + history[:2] + again))
    assert memberships(rules, mixed, as_of) == memberships(rules, history, as_of)


@generated
@given(questions())
def test_answers_change_only_at_the_instants_named(question: tuple[Plain, list[Plain], int]) -> None:
    rules, history, as_of = question
    following = min((moment for moment in instants(rules, history) if moment > as_of), default=as_of + 365 * DAY)
    assert memberships(rules, history, following - 1) == memberships(rules, history, as_of)


@generated
@given(histories())
def test_without_shared_devices_each_anonymous_id_and_token_has_one_user(history: list[Plain]) -> None:
    owners: dict[str, set[str]] = {}
    for message in history:
        for key in ("anonymousId", "previousId"):
            if key in message and "userId" in message:
                owners.setdefault(message[key], set()).add(message["userId"])
        if token := message["context"].get("device", {}).get("token"):
            owners.setdefault(token, set()).add(message.get("userId") or message["anonymousId"])
    assert all(len(users) == 1 for users in owners.values())
    assert all(read(message) for message in history)
