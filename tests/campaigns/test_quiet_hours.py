"""Sends that fall due in quiet hours: held back in the journey, judged again at their release, expired when too late.

The tests' clock starts at midnight, UTC.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, Story, compile_plain, of_type
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import Send, Suppressed
from transforms.campaigns.journey import Journey
from transforms.users.parts import PARTS
from transforms.users.user import decode_user, encode_user

Plain = dict[str, Any]

NIGHT = {"from": "21:00", "to": "08:00"}
EVENING, MORNING = 21 * HOUR, 32 * HOUR
TWO = [{"send": "push"}, {"wait": "1h"}, {"send": "other"}]


def definitions(**campaign: Any) -> Plain:
    """A campaign that the event `Bought` triggers, with quiet hours from nine in the evening on."""
    body = {"trigger": {"event": "Bought"}, "steps": [{"send": "push"}], "reenter": "always", "quiet_hours": NIGHT}
    body |= campaign
    if "transactional" not in body:
        body["consent"] = "offers"
    sent = {step["send"] for step in body["steps"] if "send" in step}
    messages = {name: {"channel": "push", "title": "Hello"} for name in sorted(sent)}
    segments = {"vips": {"members": {"attribute": "vip", "is": True}}}
    return {"segments": segments, "campaigns": {"c": body}, "messages": messages}


def story(**campaign: Any) -> Story:
    told = Story(compile_plain(definitions(**campaign)))
    told.device(0)
    return told


def refusals(told: Story) -> list[tuple[str, str, int]]:
    return [(refused.step, refused.reason, refused.at - START) for refused in of_type(Suppressed, told.effects)]


@pytest.mark.parametrize(
    ("due", "sent"),
    [(EVENING - 1, EVENING - 1), (EVENING, MORNING), (MORNING - 1, MORNING), (MORNING, MORNING), (0, 8 * HOUR)],
)
def test_a_send_that_falls_due_at_night_goes_out_in_the_morning(due: int, sent: int) -> None:
    told = story()
    told.track("Bought", due)
    told.wake(max(due, sent - 1))
    assert bool(told.sent) is (sent == due)
    told.wake(2 * DAY)
    assert told.sent == [("push", "push", sent)]
    assert (told.reasons, told.user.journeys) == ([], {})


def test_the_night_is_that_of_the_user() -> None:
    told = story()
    told.identify(1, {"timezone": "America/New_York"})  # four hours behind
    told.track("Bought", 24 * HOUR)
    told.track("Bought", 25 * HOUR)
    told.wake(3 * DAY)
    assert [at for _, _, at in told.sent] == [24 * HOUR, 36 * HOUR]


def test_a_wait_behind_it_counts_from_its_release_and_it_expires_by_when_it_fell_due() -> None:
    told = story(steps=TWO, max_delay="12h")
    told.track("Bought", EVENING + HOUR)
    told.wake(2 * DAY)
    assert told.sent == [("push", "push", MORNING), ("other", "other", MORNING + HOUR)]
    first, second = of_type(Send, told.effects)
    assert (first.not_after, second.not_after) == (START + EVENING + 13 * HOUR, START + MORNING + 13 * HOUR)
    assert (first.quiet, second.quiet) == ((21 * 60, 8 * 60), (21 * 60, 8 * 60))


def test_a_step_at_once_behind_it_falls_due_at_its_release() -> None:
    told = story(steps=[{"send": "push"}, {"send": "other"}], max_delay="11h")
    told.track("Bought", EVENING)
    told.wake(2 * DAY)
    assert told.sent == [("push", "push", MORNING), ("other", "other", MORNING)]
    assert [send.not_after - START for send in of_type(Send, told.effects)] == [MORNING, MORNING + 11 * HOUR]


@pytest.mark.parametrize("hours", [{"transactional": True}, {"quiet_hours": {"from": "22:00", "to": "20:00"}}])
def test_a_transactional_campaign_and_other_hours_hold_nothing_back(hours: Plain) -> None:
    told = story(**hours)
    told.track("Bought", EVENING)
    assert told.sent == [("push", "push", EVENING)]


# What may change in the night.

CHANGES: dict[str, Callable[[Story], object]] = {
    "exit": lambda told: told.track("Ordered", EVENING + HOUR),
    "no_consent": lambda told: told.consent(EVENING + HOUR, "push", False),
    "paused": lambda told: redefine(told, status="paused"),
    "stopped": lambda told: redefine(told, status="stopped"),
}


def redefine(told: Story, **campaign: Any) -> None:
    told.definitions = compile_plain(definitions(**{"exit": {"event": "Ordered"}, "steps": TWO, **campaign}))


@pytest.mark.parametrize("reason", CHANGES)
def test_at_its_release_everything_is_asked_again(reason: str) -> None:
    told = story(steps=TWO, exit={"event": "Ordered"})
    told.track("Bought", EVENING)
    CHANGES[reason](told)
    told.wake(MORNING)
    assert told.sent == []
    assert refusals(told) == [("push", reason, EVENING + HOUR if reason == "exit" else MORNING)]
    assert bool(told.user.journeys) is (reason in ("no_consent", "paused"))


def test_a_segment_that_ends_the_journey_does_so_at_night() -> None:
    told = story(exit={"segment": "vips"})
    told.track("Bought", EVENING)
    told.identify(EVENING + 5, {"vip": True})
    told.wake(2 * DAY)
    assert (told.sent, refusals(told)) == ([], [("push", "exit", EVENING + 5)])


def test_a_user_whose_night_moved_waits_on_and_one_who_would_wait_too_long_is_not_sent_to() -> None:
    for zone, sent, reasons in (("America/New_York", [MORNING + 4 * HOUR], []), ("Pacific/Honolulu", [], ["expired"])):
        told = story(max_delay="16h")
        told.track("Bought", EVENING)
        told.identify(EVENING + 1, {"timezone": zone})
        told.wake(3 * DAY)
        assert ([at for _, _, at in told.sent], told.reasons) == (sent, reasons)


def test_a_night_that_the_clocks_make_longer_can_be_too_long() -> None:
    """On 25 October 2026 Berlin's night from nine to eight has twelve hours."""
    evening = 211 * DAY + 19 * HOUR
    for delay, sent, reasons in (("12h", [evening + 12 * HOUR], []), ("11h", [], ["expired"])):
        told = story(max_delay=delay)
        told.identify(1, {"timezone": "Europe/Berlin"})
        told.track("Bought", evening)
        told.wake(220 * DAY)
        assert ([at for _, _, at in told.sent], told.reasons) == (sent, reasons)


def test_a_trigger_while_a_send_is_held_back_is_inside_the_journey() -> None:
    told = story()
    told.track("Bought", EVENING)
    told.track("Bought", EVENING + HOUR)
    told.wake(MORNING)
    told.track("Bought", MORNING + 1)
    assert (told.reasons, [at for _, _, at in told.sent]) == (["in_journey"], [MORNING, MORNING + 1])


@pytest.mark.parametrize(
    ("campaign", "expected"),
    [
        ({"steps": [{"send": "push"}]}, [("push", MORNING)]),
        ({"steps": [{"send": "other"}]}, [("other", MORNING)]),  # it is gone: the next one that is left
        ({"steps": [{"send": "new"}]}, []),
        ({"steps": [{"id": "push", "wait": "2h"}, {"send": "other"}]}, [("other", MORNING + 2 * HOUR)]),
        ({"quiet_hours": {"from": "23:00", "to": "07:00"}}, [("push", MORNING), ("other", MORNING + HOUR)]),
        ({"quiet_hours": {"from": "21:00", "to": "10:00"}}, [("push", MORNING + 2 * HOUR), ("other", 35 * HOUR)]),
    ],
)
def test_an_edit_while_a_send_is_held_back(campaign: Plain, expected: list[tuple[str, int]]) -> None:
    """A delay that began keeps its end, and is judged there by the hours of then."""
    told = story(steps=TWO)
    told.track("Bought", EVENING)
    told.definitions = compile_plain(definitions(**{"steps": TWO, **campaign}))
    told.wake(2 * DAY)
    assert [(step, at) for step, _, at in told.sent] == expected


def test_a_held_send_outlives_its_process_and_older_states_are_read() -> None:
    told = story()
    told.track("Bought", EVENING)
    (journey,) = told.user.journeys.values()
    assert (journey.waiting, journey.due, journey.held) == ("push", START + MORNING, START + EVENING)
    assert PARTS.deadline_of(told.user) == START + MORNING
    told.user = decode_user(encode_user(told.user))
    told.wake(MORNING)
    assert told.sent == [("push", "push", MORNING)]
    older = Journey("e", "c", "u", 1, 2, "wait_1", 3, ("push",), {})
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(older))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields[:9]), type=Journey) == older


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(0, 4 * 24 * 4), min_size=1, max_size=6), st.sets(st.integers(0, 5 * 24 * 4), max_size=8))
def test_whenever_it_is_woken_the_same_is_decided_and_nothing_at_night(buys: list[int], wakes: set[int]) -> None:
    steps = [{"send": "push"}, {"wait": "5h"}, {"send": "other"}, {"send": "third"}]

    def told(wakes: set[int]) -> Story:
        told = story(steps=steps, max_delay="11h")
        for at, kind in sorted([(at, "buy") for at in buys] + [(at, "wake") for at in wakes]):
            told.track("Bought", at * 15 * MINUTE) if kind == "buy" else told.wake(at * 15 * MINUTE)
        told.wake(7 * DAY)
        return told

    often, once = told(wakes), told(set())
    assert [often.sent, refusals(often)] == [once.sent, refusals(once)]
    assert all(8 * HOUR <= at % DAY < EVENING for _, _, at in once.sent)
    assert len(once.sent) == 3 * len(once.entered)


@pytest.mark.parametrize(
    ("campaign", "sent"),
    [
        ({"consent": "offers"}, MORNING),
        ({"consent": "offers", "quiet_hours": "none"}, 22 * HOUR),
        ({"consent": "offers", "quiet_hours": {"from": "20:00", "to": "23:00"}}, 23 * HOUR),
        ({"transactional": True}, 22 * HOUR),
    ],
)
def test_those_of_the_policies_are_those_of_campaigns_that_say_nothing(campaign: Plain, sent: int) -> None:
    plain = definitions(**campaign)
    if "quiet_hours" not in campaign:
        del plain["campaigns"]["c"]["quiet_hours"]
    told = Story(compile_plain({**plain, "policies": {"quiet_hours": NIGHT}}))
    told.device(0)
    told.track("Bought", 22 * HOUR)
    told.wake(2 * DAY)
    assert [at for _, _, at in told.sent] == [sent]
