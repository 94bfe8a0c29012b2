"""Frequency caps: what counts, in which window, what is given back, and who goes first at one instant."""

from collections.abc import Sequence

import pytest
from campaigns.campaign_story import Plain, definitions, sends, story
from core import DAY, HOUR, START, Story, compile_plain, of_type
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.effects import Send
from transforms.events.event import Event
from transforms.users.control import Receipt, receipt_event

ONE_A_DAY: Plain = {"frequency_caps": [{"channels": ["push"], "at_most": 1, "per": "1d"}]}


def receipt(told: Story, send: Send, kind: str, at: int) -> None:
    said = Receipt(user_id="u", kind=kind, channel=send.channel, time="2026-03-27T00:00:00Z", send=send.id)
    told.take(receipt_event(said, START + at))


def test_the_window_rolls_to_the_microsecond() -> None:
    told = story(policies=ONE_A_DAY)
    for at in (HOUR, HOUR + DAY - 1, HOUR + DAY):
        told.track("Bought", at)
    assert [at for _, _, at in sends(told)] == [HOUR, HOUR + DAY]
    assert told.reasons == ["capped"]


def test_a_message_counts_once_however_many_devices_it_goes_to() -> None:
    told = story(policies={"frequency_caps": [{"channels": ["push"], "at_most": 2, "per": "1d"}]})
    told.device(1, "t2")
    for hour in (1, 2, 3):
        told.track("Bought", hour * HOUR)
    assert [at for _, _, at in sends(told)] == [HOUR, HOUR, 2 * HOUR, 2 * HOUR]


def test_a_cap_counts_its_channels_together_and_no_others() -> None:
    caps = [{"channels": ["push", "inbox"], "at_most": 2, "per": "1d"}]
    steps = [{"send": name} for name in ("push_a", "webhook_a", "inbox_a", "push_b", "webhook_b")]
    told = story(policies={"frequency_caps": caps}, steps=steps)
    told.track("Bought", HOUR)
    assert [name for _, name, _ in sends(told)] == ["push_a", "webhook_a", "inbox_a", "webhook_b"]


def test_every_cap_holds() -> None:
    caps = [{"channels": ["push"], "at_most": 1, "per": "1h"}, {"channels": ["push"], "at_most": 2, "per": "1d"}]
    told = story(policies={"frequency_caps": caps})
    for hour in (1, 2, 3, 25, 26):
        told.track("Bought", hour * HOUR)
    assert [at // HOUR for _, _, at in sends(told)] == [1, 2, 25, 26]


def test_what_is_transactional_is_not_capped_and_counts_for_nothing() -> None:
    receipts = {"transactional": True, "steps": [{"send": "push_b"}]}
    told = story(policies=ONE_A_DAY, campaigns={"c": {}, "receipts": receipts})
    told.track("Bought", HOUR)
    told.track("Bought", 2 * HOUR)
    assert [(name, at // HOUR) for _, name, at in sends(told)] == [("push_a", 1), ("push_b", 1), ("push_b", 2)]


@pytest.mark.parametrize(
    ("kind", "back"),
    [
        *(("failed", True), ("dead_token", True), ("bounced", True), ("expired", True), ("suppressed", True)),
        *(("accepted", False), ("unknown", False), ("opened", False), ("complained", False)),
    ],
)
def test_what_certainly_failed_is_given_back(kind: str, back: bool) -> None:
    told = story(policies=ONE_A_DAY)
    told.device(1, "t2")
    told.track("Bought", HOUR)
    first, second = of_type(Send, told.effects)
    receipt(told, first, kind, HOUR + 1)
    told.track("Bought", 2 * HOUR)
    assert told.reasons == ["capped"]  # the other device may have it
    receipt(told, second, kind, 2 * HOUR + 1)
    told.track("Bought", 3 * HOUR)
    assert told.reasons == ["capped"] * (1 if back else 2)


def test_a_capped_step_advances_the_journey() -> None:
    told = story(policies=ONE_A_DAY, steps=[{"send": "push_a"}, {"send": "push_b"}, {"wait": "1d"}, {"send": "push_c"}])
    told.track("Bought", HOUR)
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", HOUR), ("c", "push_c", HOUR + DAY)]


def test_at_one_instant_the_higher_priority_goes_first_and_then_the_id() -> None:
    campaigns = {
        "a": {"steps": [{"send": "push_a"}], "priority": 10},
        "b": {"steps": [{"send": "push_b"}]},
        "c": {"steps": [{"send": "push_c"}], "priority": 90},
        "d": {"steps": [{"send": "push_d"}], "priority": 90},
    }
    caps = {"frequency_caps": [{"channels": ["push"], "at_most": 3, "per": "1d"}]}
    told = story(policies=caps, campaigns=campaigns)
    told.track("Bought", HOUR)
    assert [name for name, _, _ in sends(told)] == ["c", "d", "b"]


def test_what_falls_due_by_a_wait_and_by_an_event_at_one_instant_is_ordered_too() -> None:
    campaigns = {
        "low": {"steps": [{"wait": "1h"}, {"send": "push_a"}], "priority": 10},
        "high": {"steps": [{"wait": "1h"}, {"send": "push_b"}], "priority": 90, "trigger": {"event": "Viewed"}},
    }
    told = story(policies=ONE_A_DAY, campaigns=campaigns)
    told.track("Bought", HOUR)
    told.track("Viewed", HOUR)
    told.wake(DAY)
    assert sends(told) == [("high", "push_b", 2 * HOUR)]


def test_the_counts_of_two_who_are_merged_are_added() -> None:
    told, other = story("u", policies=ONE_A_DAY), story("u2", policies=ONE_A_DAY)
    other.track("Bought", HOUR)
    alias = Event("m", "alias", "", START + 2 * HOUR, START + 2 * HOUR, "u", previous="u2")
    for forward in other.take(alias):
        if hasattr(forward, "input"):
            told.take(forward.input)
    told.track("Bought", 3 * HOUR, id_="third")
    assert told.reasons == ["capped"]


CAPS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=3)


@settings(max_examples=examples(200), deadline=None)
@given(CAPS, st.lists(st.integers(0, 40), max_size=30))
def test_caps_agree_with_counting_over_all_that_was_sent(caps: list[tuple[int, int]], hours: list[int]) -> None:
    """The naive way: keep everything, and look at the windows that end now."""
    said = [{"channels": ["push"], "at_most": at_most, "per": f"{per}h"} for at_most, per in caps]
    told = Story(compile_plain(definitions(policies={"frequency_caps": said})))
    told.device(0)
    expected: list[int] = []
    for hour in sorted(hours):
        if all(_within(expected, hour, per) < at_most for at_most, per in caps):
            expected.append(hour)
        told.track("Bought", hour * HOUR)
    assert [at // HOUR for _, _, at in sends(told)] == expected


def _within(sent: Sequence[int], hour: int, per: int) -> int:
    return sum(hour - per < each <= hour for each in sent)
