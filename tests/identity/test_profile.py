"""What is known about a user: the last writer of each fact wins, whatever the order that writes come in."""

from itertools import permutations
from typing import Any

import pytest
from core import HOUR, START

from transforms.events.decode import Refused
from transforms.events.event import Event
from transforms.identity.profile import Profile
from transforms.identity.zones import known_zone
from transforms.users.control import Receipt, decode_control, receipt_event

Plain = dict[str, Any]


def identify(time: int, traits: Plain, id_: str = "", **context: Any) -> Event:
    return Event(id_ or f"m{time}", "identify", "", START + time, START + HOUR, "u", traits=traits, context=context)


def track(time: int, context: Plain, id_: str = "") -> Event:
    return Event(id_ or f"m{time}", "track", "E", START + time, START + HOUR, "u", context=context)


def consent(time: int, topic: Any, channel: Any, granted: Any, type_: str = "track") -> Event:
    properties = {"topic": topic, "channel": channel, "granted": granted}
    return Event(f"m{time}", type_, "Consent Changed", START + time, START + HOUR, "u", properties=properties)


def group(time: int, id_: str, traits: Plain) -> Event:
    return Event(f"m{time}", "group", "", START + time, START + HOUR, "u", traits=traits, group=id_)


def profile_of(*events: Event) -> Profile:
    """The profile after these events, which must be the same in any order and by joining one profile for each."""
    profiles = []
    for ordered in permutations(events):
        profile, joined = Profile(), Profile()
        for event in ordered:
            profile.apply(event)
            alone = Profile()
            alone.apply(event)
            joined.join(alone)
            joined.join(alone)
        profiles += [profile, joined]
    assert all(other == profiles[0] for other in profiles)
    return profiles[0]


def test_the_last_writer_wins_by_event_time_then_message_id() -> None:
    profile = profile_of(
        identify(5, {"plan": "pro", "age": 3}),
        identify(4, {"plan": "free", "city": "Ulm"}),
        identify(5, {"plan": "tie"}, id_="m4"),
    )
    assert profile.values() == {"plan": "pro", "age": 3, "city": "Ulm"}


def test_null_deletes_and_an_older_value_does_not_come_back() -> None:
    profile = profile_of(identify(2, {"plan": None}), identify(1, {"plan": "pro"}))
    assert profile.values() == {}
    assert profile.value("plan") is None
    assert profile_of(identify(2, {"plan": None}), identify(3, {"plan": "pro"})).value("plan") == "pro"


def test_a_trait_is_whole() -> None:
    assert profile_of(identify(1, {"home": {"zip": 1}}), identify(2, {"home": {"city": "Ulm"}})).values() == {
        "home": {"city": "Ulm"}
    }


def test_traits_of_other_calls_and_traits_that_pretend_to_be_context_are_passed_over() -> None:
    event = Event("m", "track", "E", START, START, "u", traits={"plan": "pro"})
    assert profile_of(event).values() == {}
    assert profile_of(identify(1, {"context.locale": "de", "#zone": "UTC", "name": "Ada"})).values() == {"name": "Ada"}


def test_a_group_is_that_of_the_newest_call_and_so_is_each_of_its_traits() -> None:
    profile = profile_of(
        group(1, "acme", {"plan": "free", "seats": 3, "gone": 1}),
        group(3, "ajax", {"plan": "pro", "gone": None}),
        group(2, "older", {"plan": "old", "a.b": 1, "a": {"b": 2}}),
    )
    assert profile.values() == {
        "group.id": "ajax",
        "group.traits.plan": "pro",
        "group.traits.seats": 3,
        "group.traits.a.b": 1,
        "group.traits.a": {"b": 2},
    }


def test_no_trait_can_pretend_to_be_a_group() -> None:
    traits = {"group": {"id": "mine"}, "group.id": "forged", "group.traits.plan": "forged"}
    assert profile_of(identify(1, traits)).values() == {"group": {"id": "mine"}}


def test_context_is_that_of_the_newest_call_that_has_it() -> None:
    profile = profile_of(
        track(1, {"os": {"name": "ios", "version": "17"}, "locale": "ja", "page": {"url": "x"}}),
        track(2, {"os": {"name": "android", "version": None}, "location": {"city": "Ulm"}}),
        identify(3, {}, app={"version": "2.0", "build": 7, "name": "Shop"}, device="phone"),
    )
    assert profile.values() == {
        "context.os.name": "android",
        "context.os.version": "17",
        "context.locale": "ja",
        "context.location.city": "Ulm",
        "context.app.version": "2.0",
        "context.app.build": 7,
    }


def test_what_changed_is_told_and_what_only_came_again_is_not() -> None:
    profile = Profile()
    device = {"device": {"token": "t1", "type": "ios"}}
    assert set(profile.apply(identify(1, {"plan": "pro", "gone": None}, **device))) == {
        "plan",
        "#reachable",
        "context.device.type",
    }
    assert profile.apply(identify(2, {"plan": "pro"}, **device)) == []
    assert profile.apply(identify(1, {"plan": "free"}, **device)) == []
    assert profile.apply(identify(3, {"plan": True})) == ["plan"]
    assert profile.apply(identify(4, {"plan": 1})) == ["plan"], "true is not 1"


def test_tokens_are_kept_newest_first() -> None:
    def device(token: Any) -> Plain:
        return {"device": {"token": token, "type": "ios"}}

    profile = profile_of(track(1, device("t1")), track(3, device("t2")), track(2, device("t3")), track(4, device("t1")))
    assert profile.live_tokens() == ["t1", "t2", "t3"]
    assert profile.tokens["t1"] == (START + 4, "m4", "ios")
    for junk in ("", None, 5, [], "x" * 4097):
        assert profile_of(track(1, device(junk))).tokens == {}
    assert profile_of(track(1, device("x" * 4096))).addresses("push")


@pytest.mark.parametrize(
    ("channel", "anonymous", "identified"),
    [("push", False, False), ("email", False, False), ("line", False, False), ("inbox", False, True)],
)
def test_who_is_reachable_with_nothing_known(channel: str, anonymous: bool, identified: bool) -> None:
    assert bool(Profile().addresses(channel)) is anonymous
    assert bool(Profile().addresses(channel, user="u")) is identified


def test_a_webhook_always_reaches() -> None:
    assert Profile().addresses("webhook")
    assert Profile().addresses("webhook", user="u")


def test_addresses_are_traits_and_need_text() -> None:
    profile = profile_of(identify(1, {"email": " u@example.com ", "line_id": "U1"}))
    assert (profile.addresses("email"), profile.addresses("line")) == (["u@example.com"], ["U1"])
    for junk in (5, [], {}, "", "  ", None):
        assert not profile_of(identify(1, {"email": junk})).addresses("email", user="u")


def test_consent_is_by_topic_and_channel_and_the_last_word_stands() -> None:
    profile = profile_of(
        consent(1, "news", "email", True), consent(3, "news", "email", False), consent(2, "a", "line", True)
    )
    assert not profile.consented("news", "email")
    assert profile.consented("a", "line")
    assert not profile.consented("a", "email"), "unset is denied for mail"
    assert profile.consented("news", "push"), "and granted for push"


def test_a_denial_of_all_closes_the_channel_and_its_end_opens_no_topic() -> None:
    granted, denied = consent(1, "news", "email", True), consent(2, "all", "email", False)
    assert not profile_of(granted, denied).consented("news", "email")
    assert profile_of(granted, denied).consented("news", "push")
    reopened = profile_of(granted, denied, consent(3, "all", "email", True))
    assert reopened.consented("news", "email")
    assert not reopened.consented("offers", "email")


@pytest.mark.parametrize("channel", ["push", "Push", " PUSH\n"])
@pytest.mark.parametrize("topic", ["news", " news ", "all", "All", " ALL"])
def test_a_denial_counts_however_it_is_written(topic: str, channel: str) -> None:
    profile = profile_of(consent(1, topic, channel, False))
    assert not profile.consented("news", "push")
    assert profile.consented("offers", "push") is (topic.strip() == "news")
    closed = profile_of(consent(1, topic, "EMAIL", True), consent(2, "ALL", "Email", False))
    assert not closed.consented("news", "email")


def test_a_receipt_may_name_a_user_by_a_number() -> None:
    payload = b'{"type":"receipt","userId":%s,"kind":"opened","channel":"Email","time":"2026-03-10T12:00:00Z"}'
    by_number, by_text = (decode_control(payload % user, START) for user in (b"7", b'"7"'))
    assert by_number == by_text
    assert by_number[0] == "7"
    with pytest.raises(Refused):
        decode_control(payload % b"0", START)


@pytest.mark.parametrize("topic", ["All", " all ", "", " ", None])
def test_a_receipt_that_names_all_topics_or_none_denies_the_channel(topic: str | None) -> None:
    receipt = Receipt("u", "unsubscribed", " Email", "2026-03-10T12:00:00Z", topic=topic)
    profile = profile_of(consent(1, "news", "email", True))
    profile.apply(receipt_event(receipt, None))
    assert profile.consent["all/email"][2] is False
    assert not profile.consented("news", "email")


@pytest.mark.parametrize(
    "event",
    [
        consent(1, None, "push", False),
        consent(1, "news", "fax", False),
        consent(1, "news", "push", "false"),
        consent(1, "news", "push", 0),
        consent(1, "news", "push", False, type_="page"),
    ],
)
def test_what_is_not_clearly_consent_is_passed_over(event: Event) -> None:
    assert profile_of(event).consent == {}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Asia/Tokyo", True),
        ("UTC", True),
        ("America/Argentina/Buenos_Aires", True),
        *((name, True) for name in ("Asia/Kolkata", "Asia/Calcutta", "Etc/GMT+9", "GMT0", "US/Pacific", "Japan")),
        *((name, False) for name in ("localtime", "posixrules", "Factory", "leapseconds", "tzdata.zi", "zone.tab")),
        *((name, False) for name in ("right/UTC", "posix/UTC", "posix/Asia/Tokyo", "right/Asia/Tokyo")),
        *((name, False) for name in ("asia/tokyo", "Asia/Tokyo ", "Asia//Tokyo", "Asia/../UTC", "./UTC", "utc")),
        *((name, False) for name in ("Mars/Olympus", "", "Europe", "../UTC", "/etc/localtime", "\x00", "U" * 65)),
        *((value, False) for value in (None, 5, True, [], {}, ["UTC"], {"UTC": 1})),
    ],
)
def test_names_of_zones(name: Any, known: bool) -> None:
    assert known_zone(name) is known
