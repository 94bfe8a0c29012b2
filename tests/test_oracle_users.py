"""The oracle against answers worked out by hand from the rules: what is known of a user, and whose a message is.

And the generators against what they promise.
"""

from typing import Any

import pytest
from calls import DAY, HOUR, NOON, at, call, consent, identify, is_member, track
from generators import definitions, histories, instants, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships, read
from strength import examples

Plain = dict[str, Any]
A = {"event": "A"}


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


@st.composite
def questions(draw: st.DrawFn) -> tuple[Plain, list[Plain], int]:
    history, rules = draw(histories()), draw(definitions())
    return rules, history, draw(st.sampled_from(instants(rules, history)))


#: Building a whole set of definitions and a history is slow for one example, and that is no flaw.
generated = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
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
