"""Who enters a campaign, what its steps decide, what ends a journey; each rule at its boundary."""

from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, Story, compile_plain

from transforms.identity.channels import channels

Plain = dict[str, Any]

SEGMENTS = {
    "viewers": {"members": {"event": "Viewed", "within": "2h"}},
    "buyers": {"members": {"event": "Ordered"}},
    "vips": {"members": {"attribute": "vip", "is": True}},
}
MESSAGES = {
    "push": {"channel": "push", "title": "Hello"},
    "other_push": {"channel": "push", "title": "Hello again"},
    "latest_push": {"channel": "push", "title": "Hello", "devices": "latest"},
    "mail": {"channel": "email", "subject": "Hello", "text": "Hello"},
}


def story(trigger: Plain | None = None, **campaign: Any) -> Story:
    """The story of a user with one device, in whose definitions stands one campaign `c`."""
    told = Story(compile_plain(definitions(trigger, **campaign)))
    told.device(0)
    return told


def definitions(trigger: Plain | None = None, *, policies: Plain | None = None, **campaign: Any) -> Plain:
    """By default a track of `Bought` triggers one push; nothing but `campaign` limits it."""
    body = {"trigger": trigger or {"event": "Bought"}, "steps": [{"send": "push"}], **campaign}
    if "transactional" not in body:
        body.setdefault("consent", "offers")
    if "event" in body["trigger"]:
        body.setdefault("reenter", "always")
    used = str(body["steps"])
    messages = {name: body for name, body in MESSAGES.items() if f"'{name}'" in used}
    return {
        "segments": SEGMENTS,
        "campaigns": {"c": body},
        "messages": messages,
        **({"policies": policies} if policies else {}),
    }


def two_steps(**more: Any) -> Plain:
    return {"steps": [{"send": "push"}, {"wait": "1h"}, {"send": "other_push"}], **more}


# Triggers.


def test_entering_a_segment_triggers_and_being_in_it_does_not() -> None:
    told = story({"enters": "viewers"})
    told.track("Viewed", HOUR)
    told.track("Viewed", 2 * HOUR)
    assert told.sent == [("push", "push", HOUR)]
    told.wake(4 * HOUR)
    told.track("Viewed", 5 * HOUR)
    assert told.sent == [("push", "push", HOUR), ("push", "push", 5 * HOUR)]


def test_leaving_a_segment_triggers_at_the_instant_that_time_brings_it_about() -> None:
    told = story({"leaves": "viewers"})
    told.track("Viewed", HOUR)
    told.wake(3 * HOUR - 1)
    assert told.sent == []
    told.wake(9 * HOUR)
    assert told.sent == [("push", "push", 3 * HOUR)]


def test_an_event_triggers_where_its_properties_say_so() -> None:
    told = story({"event": "Bought", "type": "track", "where": {"price": {"at_least": 5}}})
    told.track("Bought", HOUR, {"price": 4})
    told.track("Sold", HOUR, {"price": 9})
    told.take(told.call("page", HOUR, name="Bought", properties={"price": 9}))
    assert told.entered == []
    told.track("Bought", HOUR, {"price": 5})
    assert told.entered == ["c"]


@pytest.mark.parametrize(
    ("audience", "enters"),
    [({"segment": "vips"}, False), ({"not": {"segment": "vips"}}, True), ({"reachable": "email"}, False)],
)
def test_an_audience_is_asked_at_entry(audience: Plain, enters: bool) -> None:
    told = story(audience=audience)
    told.track("Bought", HOUR)
    assert told.entered == (["c"] if enters else [])
    assert told.reasons == ([] if enters else ["audience"])


def test_an_audience_sees_what_the_triggering_event_itself_changed() -> None:
    told = story({"event": "Ordered"}, audience={"segment": "buyers"})
    told.track("Ordered", HOUR)
    assert told.entered == ["c"]


# Messages and steps.


def test_a_list_sends_the_first_message_that_reaches() -> None:
    told = story(steps=[{"id": "hello", "send": ["mail", "push"]}])
    told.track("Bought", HOUR)
    told.identify(2 * HOUR, {"email": "u@example.com"})
    told.track("Bought", 3 * HOUR)
    told.consent(4 * HOUR, "email", True)
    told.track("Bought", 5 * HOUR)
    told.consent(6 * HOUR, "email", False)
    told.consent(6 * HOUR, "push", False)
    told.track("Bought", 7 * HOUR)
    assert told.sent == [("hello", "push", HOUR), ("hello", "push", 3 * HOUR), ("hello", "mail", 5 * HOUR)]
    assert told.reasons == ["no_consent"]


def test_a_step_goes_to_every_device_unless_to_the_latest_only() -> None:
    told = story(steps=[{"send": "push"}, {"send": "latest_push"}])
    told.device(1, "t2")
    told.track("Bought", HOUR)
    sends = [(effect.step, effect.address) for effect in told.effects if hasattr(effect, "address")]
    assert sends == [("push", "t2"), ("push", "t1"), ("latest_push", "t2")]


def test_of_a_channel_without_several_addresses_the_first_gets_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id names no address: two with one id would go to whoever comes first."""
    known = channels()
    one = {**known, "push": msgspec.structs.replace(known["push"], several=False)}
    monkeypatch.setattr("transforms.campaigns.sending.channels", lambda: one)
    told = story(steps=[{"send": "push"}])
    told.device(1, "t2")
    told.track("Bought", HOUR)
    assert [effect.address for effect in told.effects if hasattr(effect, "address")] == ["t2"]


def test_a_wait_counts_from_the_decision_before_it_and_ends_to_the_microsecond() -> None:
    told = story(**two_steps())
    told.track("Bought", HOUR)
    told.wake(2 * HOUR - 1)
    assert len(told.sent) == 1
    told.wake(2 * HOUR)
    assert told.sent == [("push", "push", HOUR), ("other_push", "other_push", 2 * HOUR)]


def test_a_send_carries_the_trigger_and_what_is_known_of_the_user_then() -> None:
    told = story(**two_steps())
    told.identify(MINUTE, {"name": "Ada", "locale": "ja"}, context={"timezone": "Asia/Tokyo"})
    told.track("Bought", HOUR, {"price": 5})
    told.identify(HOUR + MINUTE, {"name": "Eve"})
    told.wake(2 * HOUR)
    first, second = [effect for effect in told.effects if hasattr(effect, "address")]
    assert (first.attributes["name"], second.attributes["name"]) == ("Ada", "Eve")
    assert first.event == second.event == {"price": 5}
    assert (first.zone, first.locale, first.topic) == ("Asia/Tokyo", "ja", "offers")
    assert first.not_after - first.decided_at == DAY


def test_a_suppressed_step_does_not_hold_up_the_next() -> None:
    told = story(**two_steps())
    told.track("Bought", HOUR)
    told.consent(HOUR + 1, "push", False)
    told.consent(2 * HOUR + 1, "push", True)
    assert (told.reasons, told.user.journeys) == (["no_consent"], {})


# Exits.


@pytest.mark.parametrize(("happened", "ends"), [(HOUR - 1, False), (HOUR, True), (HOUR + 1, True)])
def test_an_event_timed_at_the_entry_or_later_ends_a_journey_however_late_it_comes(happened: int, ends: bool) -> None:
    told = story(**two_steps(), exit={"event": "Ordered", "where": {"total": {"more_than": 0}}})
    told.track("Bought", HOUR)
    told.track("Ordered", HOUR + 5, {"total": 0}, time=happened)
    told.track("Ordered", 2 * HOUR - 1, {"total": 1}, time=happened)
    told.wake(DAY)
    assert [step for step, _, _ in told.sent] == (["push"] if ends else ["push", "other_push"])
    assert told.reasons == (["exit"] if ends else [])


def test_of_a_late_trigger_the_time_that_it_happened_counts() -> None:
    told = story(**two_steps(), exit={"event": "Ordered"})
    told.track("Bought", HOUR, time=30 * MINUTE)
    told.track("Ordered", HOUR + 1, time=30 * MINUTE)
    assert told.reasons == ["exit"]


@pytest.mark.parametrize("way", [{"segment": "vips"}, {"leaves": "viewers"}])
def test_being_in_a_segment_or_leaving_one_ends_a_journey(way: Plain) -> None:
    told = story(**two_steps(), exit=[{"event": "Ordered"}, way])
    told.track("Viewed", 0)
    told.track("Bought", 90 * MINUTE)
    told.identify(100 * MINUTE, {"vip": True})
    told.wake(DAY)
    assert (told.sent, told.reasons) == ([("push", "push", 90 * MINUTE)], ["exit"])


def test_a_user_who_is_where_a_journey_ends_enters_and_is_sent_nothing() -> None:
    told = story(exit={"segment": "vips"})
    told.identify(MINUTE, {"vip": True})
    told.track("Bought", HOUR)
    assert (told.entered, told.sent, told.reasons) == (["c"], [], ["exit"])


def test_leaving_the_segment_that_triggered_is_no_exit() -> None:
    told = story({"enters": "viewers"}, steps=[{"wait": "3h"}, {"send": "push"}])
    told.track("Viewed", 0)
    told.wake(DAY)
    assert told.sent == [("push", "push", 3 * HOUR)]


# Entry again.


@pytest.mark.parametrize(
    ("reenter", "entries"),
    [
        ("never", [0]),
        ("always", [0, 1, 2, 3]),
        ({"after": "2h"}, [0, 2]),
        ({"after": "3h"}, [0, 3]),
    ],
)
def test_entering_again_counts_from_the_last_entry(reenter: Any, entries: list[int]) -> None:
    told = story(reenter=reenter)
    for hour in range(4):
        told.track("Bought", HOUR * (hour + 1))
    assert [at // HOUR - 1 for _, _, at in told.sent] == entries
    assert told.reasons == ["reentry"] * (4 - len(entries))


def test_entering_again_is_possible_at_the_microsecond() -> None:
    told = story(reenter={"after": "2h"})
    told.track("Bought", HOUR)
    told.track("Bought", 3 * HOUR - 1)
    assert told.reasons == ["reentry"]
    told.track("Bought", 3 * HOUR)
    assert len(told.entered) == 2


def test_a_trigger_inside_the_journey_is_refused_and_the_journey_goes_on() -> None:
    told = story(**two_steps())
    told.track("Bought", HOUR)
    told.track("Bought", HOUR + MINUTE)
    told.wake(3 * HOUR)
    assert told.reasons == ["in_journey"]
    assert [at for _, _, at in told.sent] == [HOUR, 2 * HOUR]
    told.track("Bought", 4 * HOUR)
    assert told.entered == ["c", "c"]


# Consent, age, status.


@pytest.mark.parametrize(("transactional", "sent"), [(True, 1), (False, 0)])
def test_a_transactional_campaign_asks_for_no_consent(transactional: bool, sent: int) -> None:
    told = story(**({"transactional": True} if transactional else {}))
    told.consent(MINUTE, "push", False)
    told.consent(MINUTE, "push", False, topic="all")
    told.track("Bought", HOUR)
    assert len(told.sent) == sent
    assert told.reasons == ([] if transactional else ["no_consent"])


def test_consent_is_asked_again_at_each_step() -> None:
    told = story(**two_steps())
    told.track("Bought", HOUR)
    told.consent(HOUR + MINUTE, "push", False, topic="all")
    told.wake(DAY)
    assert (len(told.sent), told.reasons) == (1, ["no_consent"])


@pytest.mark.parametrize(
    ("campaign", "policies", "allowed"),
    [({}, {}, HOUR), ({}, {"max_event_age": "2h"}, 2 * HOUR), ({"max_event_age": "15m"}, {}, 15 * MINUTE)],
)
@pytest.mark.parametrize("trigger", [{"event": "Bought"}, {"enters": "buyers"}])
def test_a_trigger_may_be_so_old_to_the_microsecond(
    campaign: Plain, policies: Plain, allowed: int, trigger: Plain
) -> None:
    name = trigger.get("event", "Ordered")
    for extra, reasons in ((0, []), (1, ["too_old"])):
        told = story(trigger, **campaign, policies=policies)
        told.track(name, DAY, time=DAY - allowed - extra)
        assert (told.reasons, len(told.entered)) == (reasons, 1 - len(reasons))


def test_a_trigger_by_time_has_no_age() -> None:
    told = story({"leaves": "viewers"}, max_event_age="1s")
    told.track("Viewed", HOUR)
    told.wake(DAY)
    assert told.entered == ["c"]


def test_history_triggers_nothing_but_says_so() -> None:
    told = story({"enters": "buyers"})
    told.track("Ordered", HOUR, historical=True)
    assert (told.entered, told.reasons) == ([], ["historical"])


@pytest.mark.parametrize("status", ["paused", "stopped"])
def test_nobody_enters_a_campaign_that_is_not_live(status: str) -> None:
    told = story(status=status)
    told.track("Bought", HOUR)
    assert (told.entered, told.reasons) == ([], [status])


def test_steps_that_fall_due_while_paused_are_not_sent_on_resume() -> None:
    steps = [
        {"send": "push"},
        {"wait": "1h"},
        {"id": "two", "send": "push"},
        {"wait": "1h"},
        {"id": "three", "send": "push"},
    ]
    told = story(steps=steps)
    told.track("Bought", HOUR)
    told.definitions = compile_plain(definitions(steps=steps, status="paused"))
    told.wake(2 * HOUR)
    assert told.reasons == ["paused"]
    told.definitions = compile_plain(definitions(steps=steps))
    told.wake(DAY)
    assert [step for step, _, _ in told.sent] == ["push", "three"]


@pytest.mark.parametrize("gone", [False, True])
def test_journeys_of_a_stopped_or_removed_campaign_end(gone: bool) -> None:
    told = story(**two_steps())
    told.track("Bought", HOUR)
    after = definitions(**two_steps(), status="stopped")
    told.definitions = compile_plain({"segments": SEGMENTS} if gone else after)
    told.wake(DAY)
    assert (len(told.sent), told.reasons, told.user.journeys) == (1, ["stopped"], {})
