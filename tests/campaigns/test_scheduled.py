"""Scheduled campaigns: whom a run reaches, when it does by each user's clock, and that it comes once."""

from collections.abc import Sequence

import pytest
from campaigns.campaign_story import Plain, definitions, refusals, sends, story
from core import DAY, HOUR, MINUTE, START, Story, compile_plain, of_type
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import publish, release_of
from strength import examples

from transforms.campaigns.effects import Send
from transforms.campaigns.load import compiled
from transforms.events.event import Event
from transforms.users.advance import fold
from transforms.users.parts import PARTS
from transforms.users.user import User, Wake

DAILY = {"schedule": {"cron": "0 9 * * *"}}
BY_USER = {"schedule": {"cron": "0 9 * * *", "zone": "user"}}
ONCE = {"schedule": {"at": "2026-03-28T10:00", "zone": "user"}}


def test_a_run_reaches_who_is_in_the_audience_at_its_instant() -> None:
    told = story(trigger=DAILY, audience={"segment": "viewers"})
    told.track("Viewed", 8 * HOUR)
    told.wake(2 * DAY)
    assert sends(told) == [("c", "push_a", 9 * HOUR)]
    assert told.reasons == []


def test_no_wake_is_early_or_late() -> None:
    told = story(trigger=DAILY)
    assert PARTS.deadline_of(told.user) == START + 9 * HOUR
    told.wake(9 * HOUR - 1)
    assert sends(told) == []
    told.wake(9 * HOUR)
    assert sends(told) == [("c", "push_a", 9 * HOUR)]
    assert PARTS.deadline_of(told.user) == START + 33 * HOUR


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("UTC", 9 * HOUR),
        ("Asia/Tokyo", DAY),
        ("America/New_York", 13 * HOUR),
        ("Pacific/Kiritimati", 19 * HOUR),
        ("Pacific/Pago_Pago", 20 * HOUR),
    ],
)
def test_by_each_users_clock(zone: str, at: int) -> None:
    """The first run that began while the user was known; START is 2026-03-27T00:00Z."""
    told = Story(compile_plain(definitions(trigger=BY_USER)))
    told.identify(-6 * HOUR, {"timezone": zone}, context={"device": {"token": "t", "type": "ios"}})
    told.wake(at - 1)
    before = len(sends(told))
    told.wake(at)
    assert sends(told)[before:] == [("c", "push_a", at)]


def test_who_travels_meanwhile_gets_it_once_and_not_never() -> None:
    for begin, end in (("Asia/Tokyo", "America/New_York"), ("America/New_York", "Asia/Tokyo")):
        told = story(trigger=ONCE, traits={"timezone": begin})
        told.identify(DAY, {"timezone": end})
        told.wake(4 * DAY)
        assert len(sends(told)) == 1, begin


def test_the_audience_is_asked_again_at_the_users_instant() -> None:
    told = story(trigger=BY_USER, audience={"segment": "viewers"}, traits={"timezone": "America/New_York"})
    told.track("Viewed", 18 * HOUR)  # the run of the 28th begins at 19:00 UTC, and reaches New York at 13:00
    told.wake(2 * DAY)
    assert (sends(told), refusals(told)) == ([], [("", "audience", DAY + 13 * HOUR)])


def test_who_was_not_in_the_audience_when_the_run_began_is_not_told_of() -> None:
    told = story(trigger=BY_USER, audience={"segment": "viewers"}, traits={"timezone": "America/New_York"})
    told.track("Viewed", DAY + 12 * HOUR)
    told.wake(2 * DAY)
    assert (sends(told), refusals(told)) == ([], [])


def test_a_run_of_before_the_definitions_were_published_does_not_come() -> None:
    told = Story(compiled(release_of(definitions(trigger=DAILY), START + 10 * HOUR)))
    told.device(0)
    told.wake(2 * DAY)
    assert sends(told) == [("c", "push_a", 33 * HOUR)]


def test_a_run_that_was_due_before_other_definitions_were_published_still_comes() -> None:
    """A timer may fire a moment late, and definitions may come in that moment."""
    first = release_of(definitions(trigger=DAILY), START)
    before = Story(compiled(first))
    before.device(0)
    second = publish(first, definitions(trigger=DAILY, priority=60), START + 9 * HOUR + 1)
    after = Story(compiled(second))
    after.user = before.user
    after.wake(9 * HOUR + 2)
    assert sends(after) == [("c", "push_a", 9 * HOUR)]
    after.wake(34 * HOUR)
    assert [at for _, _, at in sends(after)] == [9 * HOUR, 33 * HOUR]


def test_a_send_goes_out_before_the_next_run_or_not_at_all() -> None:
    """So that after a job stood still only the newest run does."""
    hourly = story(trigger={"schedule": {"cron": "0 * * * *"}})
    hourly.wake(5 * HOUR)
    assert [(s.decided_at - START, s.not_after - START) for s in of_type(Send, hourly.effects)] == [
        (hour * HOUR, (hour + 1) * HOUR) for hour in range(1, 6)
    ]
    by_user = story(trigger=BY_USER, traits={"timezone": "America/New_York"}, max_delay="2d")
    by_user.wake(2 * DAY)
    [send, *_] = of_type(Send, by_user.effects)
    assert send.not_after - send.decided_at == DAY
    once = story(trigger=ONCE)
    once.wake(3 * DAY)
    [send] = of_type(Send, once.effects)
    assert send.not_after - send.decided_at == DAY


def test_history_has_no_runs() -> None:
    told = story(trigger=DAILY)
    told.wake(5 * DAY, historical=True)
    assert (sends(told), told.reasons, told.entered) == ([], [], [])
    told.wake(6 * DAY)
    assert sends(told) == [("c", "push_a", 5 * DAY + 9 * HOUR)]


def test_ends_ends_the_runs_and_so_the_waking() -> None:
    told = story(trigger=DAILY, ends="2026-03-29T00:00:00Z")
    told.wake(9 * DAY)
    assert len(sends(told)) == 2
    assert PARTS.deadline_of(told.user) is None


def test_a_stopped_campaign_wakes_nobody_and_a_paused_one_says_so() -> None:
    stopped = story(trigger=DAILY, status="stopped")
    assert PARTS.deadline_of(stopped.user) is None
    paused = story(trigger=DAILY, status="paused")
    paused.wake(DAY)
    assert (sends(paused), paused.reasons) == ([], ["paused"])


STARTING = {"trigger": {"enters": "vips", "include_current": True}, "starts": "2026-03-28T00:00:00Z"}


def test_the_present_members_enter_when_a_campaign_starts() -> None:
    told = story(**STARTING, traits={"vip": True})
    told.wake(DAY - 1)
    assert told.reasons == ["not_started"]  # when they became one
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", DAY)]


@pytest.mark.parametrize(
    ("zone", "at"), [("Asia/Tokyo", DAY - 9 * HOUR), ("UTC", DAY), ("America/New_York", DAY + 4 * HOUR)]
)
def test_a_campaign_that_starts_with_a_day_starts_when_that_begins_for_each(zone: str, at: int) -> None:
    told = story(**{**STARTING, "starts": "2026-03-28"}, traits={"vip": True, "timezone": zone})
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", at)]


def test_include_current_may_stand_beside_the_trigger() -> None:
    beside = {"trigger": {"enters": "vips"}, "include_current": True, "starts": STARTING["starts"]}
    told = story(**beside, traits={"vip": True})
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", DAY)]


def test_who_is_no_member_then_enters_when_they_become_one() -> None:
    told = story(**STARTING)
    told.wake(DAY)
    assert sends(told) == []
    told.identify(2 * DAY, {"vip": True})
    assert sends(told) == [("c", "push_a", 2 * DAY)]


def test_of_two_who_are_merged_the_run_comes_once() -> None:
    told, other = story("u", trigger=BY_USER), story("u2", trigger=BY_USER, traits={"timezone": "Asia/Tokyo"})
    for each in (told, other):
        each.wake(20 * HOUR)
    alias = Event("m", "alias", "", START + 21 * HOUR, START + 21 * HOUR, "u", previous="u2")
    for forward in other.take(alias):
        if hasattr(forward, "input"):
            told.take(forward.input)
    assert {len(occurrences) for occurrences in told.user.occurrences.values()} == {1}
    told.wake(DAY + 10 * HOUR)
    assert [at for _, _, at in sends(told)] == [DAY]


CAMPAIGNS: dict[str, Plain] = {
    "daily": {"trigger": BY_USER, "steps": [{"send": "push_a"}, {"wait": {"until": "18:00"}}, {"send": "push_b"}]},
    "hourly": {
        "trigger": {"schedule": {"cron": "0 */7 * * *", "zone": "Europe/Berlin"}},
        "steps": [{"send": "push_c"}],
    },
    "viewers": {"trigger": ONCE, "audience": {"segment": "viewers"}, "steps": [{"send": "push_d"}]},
    "start": {**STARTING, "steps": [{"send": "push_e"}]},
}
COMPILED = compile_plain(definitions(campaigns=CAMPAIGNS))
WHAT = st.sampled_from(["Asia/Tokyo", "America/New_York", "Viewed", "vip"])
MOVES = st.lists(st.tuples(st.integers(0, 100 * 60), WHAT), max_size=8)


def inputs(moves: Sequence[tuple[int, str]]) -> list[Event]:
    found = []
    for number, (minute, what) in enumerate(sorted(moves)):
        at = START + minute * MINUTE
        traits = {"vip": True} if what == "vip" else {"timezone": what}
        identify = {"name": "", "type": "identify", "traits": traits}
        kind = {"name": "Viewed", "type": "track"} if what == "Viewed" else identify
        context = {"device": {"token": "t", "type": "ios"}}
        found.append(Event(id=f"m{number}", time=at, arrival=at, user="u", context=context, **kind))
    return found


@settings(max_examples=examples(150), deadline=None)
@given(MOVES, st.lists(st.integers(0, 120 * 60), max_size=20))
def test_waking_at_other_times_changes_nothing(moves: list[tuple[int, str]], wakes: list[int]) -> None:
    events, end = inputs(moves), Wake(START + 5 * DAY)
    extra = [Wake(START + minute * MINUTE) for minute in wakes]
    _, plain = fold(User("u"), [*events, end], COMPILED)
    ordered = sorted([*events, *extra], key=lambda item: (item.arrival, isinstance(item, Event), item.id))
    known = [item for item in ordered if events and item.arrival >= events[0].arrival]
    _, woken = fold(User("u"), [*known, end], COMPILED)
    assert decided(woken) == decided(plain)


def decided(effects: Sequence[object]) -> list[object]:
    return [effect for effect in effects if type(effect).__name__ in ("Send", "Suppressed", "CampaignEntered")]


def test_at_the_end_of_summer_time_what_runs_in_both_hours_is_sent_in_both() -> None:
    for cron, hours in (("*/30 2 25 10 *", [0, 0.5, 1, 1.5]), ("30 2 25 10 *", [0.5])):
        told = story(trigger={"schedule": {"cron": cron, "zone": "Europe/Berlin"}})
        told.wake(213 * DAY)
        october = 212 * DAY  # the 25th, in UTC
        assert [at for _, _, at in sends(told)] == [october + round(hour * HOUR) for hour in hours]
        assert told.reasons == []
