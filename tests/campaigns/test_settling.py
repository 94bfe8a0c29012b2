"""Facts that arrive a moment late: what settles for a user who is new, and until when."""

from typing import Any

import msgspec
import pytest
from campaigns.campaign_story import definitions, refusals
from core import HOUR, MINUTE, START, Story, compile_plain, of_type, run_bounded

from transforms.campaigns.effects import CampaignEntered, Converted, Send
from transforms.events.event import Event
from transforms.users.parts import PARTS
from transforms.users.user import ANONYMOUS, Merge

S = 1_000_000
DEVICE = {"device": {"token": "t1", "type": "ios"}}
MAIL: dict[str, Any] = {"steps": [{"send": "email_a"}]}


def new_user(user: str = "u", *, policies: dict[str, Any] | None = None, **campaign: Any) -> Story:
    """A user of whom nothing is known, under a campaign `c` that `Bought` triggers."""
    return Story(compile_plain(definitions(policies={"settling": "30s", **(policies or {})}, **campaign)), user)


def entered(told: Story) -> list[int]:
    return [entry.at - START for entry in of_type(CampaignEntered, told.effects)]


def sent(told: Story) -> list[tuple[str, int]]:
    return [(send.message, send.decided_at - START) for send in of_type(Send, told.effects)]


def test_a_token_that_comes_a_moment_after_the_trigger_lets_the_user_in() -> None:
    told = new_user()
    told.track("Bought", 0)
    assert not entered(told)
    told.device(29 * S)
    assert entered(told) == [29 * S]
    assert sent(told) == [("push_a", 29 * S)]
    assert refusals(told) == []
    assert PARTS.deadline_of(told.user) is None


def test_settling_is_thirty_seconds_where_nothing_is_said() -> None:
    plain = definitions()
    del plain["policies"]["settling"]
    told = Story(compile_plain(plain))
    told.track("Bought", 0)
    assert PARTS.deadline_of(told.user) == START + 30 * S
    assert refusals(told) == []


def test_at_the_deadline_what_is_pending_is_refused_and_an_input_of_that_instant_comes_after() -> None:
    told = new_user()
    told.track("Bought", 0)
    told.device(30 * S)
    assert refusals(told) == [("", "unreachable", 30 * S)]
    assert entered(told) == []
    assert PARTS.deadline_of(told.user) is None


def test_time_alone_decides_at_the_deadline() -> None:
    told = new_user()
    told.track("Bought", 5 * S)
    told.track("Bought", 5 * S + 1)
    assert PARTS.deadline_of(told.user) == START + 35 * S
    told.wake(HOUR)
    assert refusals(told) == [("", "in_journey", 5 * S + 1), ("", "unreachable", 35 * S)]


def test_it_counts_from_the_first_arrival_of_anything() -> None:
    told = new_user()
    told.identify(0)
    told.track("Bought", 29 * S)
    assert PARTS.deadline_of(told.user) == START + 30 * S
    told = new_user()
    told.identify(0)
    told.track("Bought", 30 * S)
    assert refusals(told) == [("", "unreachable", 30 * S)]


def test_nothing_settles_where_it_is_turned_off() -> None:
    told = new_user(policies={"settling": "0s"})
    told.track("Bought", 0)
    assert refusals(told) == [("", "unreachable", 0)]


def test_unset_consent_settles_and_a_denial_does_not() -> None:
    told = new_user(**MAIL)
    told.identify(0, {"email": "u@example.com"})
    told.track("Bought", S)
    assert refusals(told) == []
    told.consent(2 * S, "email", granted=True)
    assert sent(told) == [("email_a", 2 * S)]
    for topic in ("offers", "all"):
        told = new_user(**MAIL)
        told.identify(0, {"email": "u@example.com"})
        told.consent(0, "email", granted=False, topic=topic)
        told.track("Bought", S)
        assert refusals(told) == [("", "no_consent", S)]


def test_of_several_channels_one_that_was_not_denied_settles() -> None:
    told = new_user(steps=[{"send": ["push_a", "email_a"]}])
    told.consent(0, "push", granted=False)
    told.track("Bought", S)
    assert refusals(told) == []
    told.identify(2 * S, {"email": "u@example.com"})
    assert refusals(told) == []
    told.consent(3 * S, "email", granted=True)
    assert sent(told) == [("email_a", 3 * S)]


def test_an_audience_settles_and_the_reason_is_that_of_the_end() -> None:
    audience = {"segment": "vips"}
    told = new_user(audience=audience)
    told.track("Bought", 0)
    told.device(S)
    assert refusals(told) == []
    told.identify(2 * S, {"vip": True})
    assert sent(told) == [("push_a", 2 * S)]
    told = new_user(audience=audience)
    told.track("Bought", 0)
    told.identify(2 * S, {"vip": True})
    told.wake(MINUTE)
    assert refusals(told) == [("", "unreachable", 30 * S)]


def test_an_exit_ends_what_is_pending() -> None:
    told = new_user(exit=[{"event": "Ordered"}, {"segment": "vips"}])
    told.track("Bought", 10 * S)
    told.track("Ordered", 12 * S, time=9 * S)  # it happened before
    assert refusals(told) == []
    told.track("Ordered", 13 * S)
    told.device(14 * S)
    assert refusals(told) == [("", "exit", 13 * S)]
    told.track("Bought", 20 * S)
    assert len(sent(told)) == 1
    told = new_user(exit=[{"event": "Ordered"}, {"segment": "vips"}])
    told.track("Bought", 10 * S)
    told.identify(11 * S, {"vip": True})
    assert refusals(told) == [("", "exit", 11 * S)]
    assert not told.user.journeys


@pytest.mark.parametrize("status", ["paused", "stopped"])
def test_a_campaign_that_is_halted_refuses_what_is_pending(status: str) -> None:
    told = new_user()
    told.track("Bought", 0)
    told.definitions = compile_plain(definitions(policies={"settling": "30s"}, status=status))
    told.device(S)
    assert refusals(told) == [("", status, S)]


def test_a_campaign_that_is_gone_refuses_what_is_pending() -> None:
    told = new_user()
    told.track("Bought", 0)
    told.definitions = compile_plain(definitions(policies={"settling": "30s"}, campaigns={"d": {}}))
    told.wake(MINUTE)
    assert refusals(told) == [("", "stopped", 30 * S)]


def test_edits_leave_what_is_pending_its_deadline_and_ask_anew() -> None:
    told = new_user()
    told.track("Bought", 0)
    told.definitions = compile_plain(definitions(policies={"settling": "0s"}, steps=[{"send": "webhook_a"}]))
    told.identify(S)
    assert sent(told) == [("webhook_a", S)]


def test_goals_and_exits_count_from_the_trigger() -> None:
    told = new_user(
        steps=[{"send": "push_a"}, {"wait": "1h"}, {"send": "push_b"}],
        exit={"event": "Ordered"},
        goals={"paid": {"event": "Paid", "within": "1d", "value": "sum"}},
    )
    told.track("Bought", 5 * S)
    told.track("Paid", 6 * S, {"sum": 7})
    told.device(10 * S)
    (paid,) = of_type(Converted, told.effects)
    assert (paid.first, paid.value, paid.at) == (True, 7.0, START + 6 * S)
    assert entered(told) == [10 * S]
    told.track("Ordered", 20 * S, time=7 * S)
    assert refusals(told) == [("push_b", "exit", 20 * S)]


def test_the_entry_has_the_name_that_the_trigger_gives_it() -> None:
    late, early = new_user(), new_user()
    late.track("Bought", 0, id_="b")
    late.device(S)
    early.device(0)
    early.track("Bought", S, id_="b")
    (first,), (second,) = (of_type(Send, told.effects) for told in (late, early))
    assert first == second


def test_what_enters_a_segment_settles_by_its_instant() -> None:
    told = new_user(trigger={"enters": "buyers"}, goals={"again": {"event": "Paid", "within": "1d"}})
    told.track("Ordered", 3 * S)
    told.track("Paid", 4 * S)
    told.device(5 * S)
    assert entered(told) == [5 * S]
    assert len(of_type(Converted, told.effects)) == 1


def test_history_schedules_and_announcements_do_not_settle() -> None:
    told = new_user()
    told.track("Bought", 0, historical=True)
    assert refusals(told) == [("", "historical", 0)]
    told = new_user(trigger={"schedule": {"at": "2026-03-28T23:00", "zone": "UTC"}}, audience={"identified": True})
    at = START // HOUR  # whatever the schedule: its run refuses at once
    assert at
    told = Story(
        compile_plain(
            definitions(
                policies={"settling": "30s"},
                trigger={"schedule": {"cron": "* * * * *", "zone": "UTC"}},
                audience={"identified": True},
            )
        )
    )
    told.identify(MINUTE - S)
    told.wake(MINUTE)
    assert [reason for _, reason, _ in refusals(told)] == ["unreachable"]


# A send.

TWO = {"steps": [{"send": "webhook_a"}, {"send": "push_a"}, {"wait": "1h"}, {"send": "webhook_b"}]}


def test_a_send_that_lacks_a_fact_is_held_back_and_waits_behind_it_count_from_there() -> None:
    told = new_user(**TWO)
    told.track("Bought", 0)
    assert sent(told) == [("webhook_a", 0)]
    assert refusals(told) == []
    told.device(4 * S)
    assert sent(told)[1:] == [("push_a", 4 * S)]
    told.wake(2 * HOUR)
    assert sent(told)[2:] == [("webhook_b", 4 * S + HOUR)]


def test_a_send_is_held_back_until_the_end_of_settling() -> None:
    told = new_user(**TWO)
    told.track("Bought", 10 * S)
    told.wake(30 * S + 10 * S)
    assert refusals(told) == [("push_a", "unreachable", 40 * S)]
    assert PARTS.deadline_of(told.user) == START + 40 * S + HOUR


def test_a_send_is_not_held_back_beyond_max_delay() -> None:
    told = new_user(**TWO, max_delay="5s")
    told.track("Bought", 10 * S)
    told.wake(MINUTE)
    assert refusals(told) == [("push_a", "unreachable", 15 * S)]


def test_a_list_waits_for_its_first_choice() -> None:
    told = new_user(steps=[{"send": ["push_a", "webhook_a"]}])
    told.track("Bought", 0)
    assert entered(told) == [0]
    assert sent(told) == []
    told.device(9 * S)
    assert sent(told) == [("push_a", 9 * S)]
    told = new_user(steps=[{"send": ["push_a", "webhook_a"]}])
    told.track("Bought", 0)
    told.wake(MINUTE)
    assert sent(told) == [("webhook_a", 30 * S)]
    told = new_user(steps=[{"send": ["push_a", "webhook_a"]}])
    told.consent(0, "push", granted=False)
    told.track("Bought", 0)
    assert sent(told) == [("webhook_a", 0)]


def test_a_fact_that_lets_a_send_go_on_has_it_asked_everything() -> None:
    told = new_user(steps=[{"send": "webhook_a"}, {"send": "push_a", "unless": {"segment": "vips"}}])
    told.track("Bought", 0)
    told.identify(S, {"vip": True})
    assert refusals(told) == []
    told.device(2 * S)
    assert refusals(told) == [("push_a", "unless", 2 * S)]


def test_a_held_send_ends_by_an_exit() -> None:
    told = new_user(**TWO, exit={"event": "Ordered"})
    told.track("Bought", 0)
    told.track("Ordered", S)
    assert refusals(told) == [("push_a", "exit", S)]


def test_a_step_that_writes_the_missing_attribute_lets_others_in() -> None:
    told = new_user(
        campaigns={
            "a": {"audience": {"attribute": "plan", "is": "pro"}, "steps": [{"send": "webhook_a"}], "priority": 90},
            "b": {"trigger": {"event": "Paid"}, "steps": [{"set": {"plan": "pro"}}, {"send": "webhook_b"}]},
        }
    )
    told.track("Bought", 0)
    told.track("Paid", S)
    assert sorted(sent(told)) == [("webhook_a", S), ("webhook_b", S)]


# One user of several ids.


def visitor_who(*calls: tuple[str, int], **campaign: Any) -> Story:
    """A visitor of whom these calls came: each a type and when."""
    told = new_user(ANONYMOUS + "v", **campaign)
    for type_, at in calls:
        context = DEVICE if type_ == "identify" else {}
        call = told.call(type_, at, name="Bought" if type_ == "track" else "", id_=f"v{at}", context=context)
        told.take(msgspec.structs.replace(call, user=None, anonymous="v"))
    return told


def past(of: Story, at: int) -> Merge:
    """What a visitor, or another user, hands over."""
    return Merge(START + at, msgspec.structs.replace(of.user, version=0))


def test_a_visitor_does_not_move_the_deadline_and_its_pending_entries_come_along() -> None:
    visitor = visitor_who(("page", -HOUR), ("track", 0))
    assert refusals(visitor) == [("", "unreachable", 0)]
    visitor = visitor_who(("track", 0))
    told = new_user()
    told.take(past(visitor, 20 * S))
    assert PARTS.deadline_of(told.user) == START + 50 * S
    told.device(49 * S)
    assert sent(told) == [("push_a", 49 * S)]
    known = new_user()
    known.identify(-HOUR)
    known.take(past(visitor, 20 * S))
    assert refusals(known) == [("", "unreachable", 20 * S)]


def test_a_visitor_brings_the_fact_that_was_missing() -> None:
    visitor, told = visitor_who(("identify", -HOUR)), new_user()
    told.track("Bought", 0)
    told.take(past(visitor, S))
    assert sent(told) == [("push_a", S)]


def test_of_two_user_ids_the_earlier_arrival_counts() -> None:
    other, told = new_user("v"), new_user()
    other.identify(0, id_="o")
    told.track("Bought", 10 * S)
    assert PARTS.deadline_of(told.user) == START + 40 * S
    told.take(past(other, 20 * S))
    assert PARTS.deadline_of(told.user) == START + 30 * S
    told.device(30 * S)
    assert refusals(told) == [("", "unreachable", 30 * S)]
    third = new_user("w")
    third.track("Bought", 29 * S, id_="t")
    third.take(past(told, 31 * S))
    assert sent(third) == [("push_a", 31 * S)]  # it lacks nothing any more
    assert third.user.first == START


def test_an_exit_under_the_other_id_ends_what_comes_along() -> None:
    visitor, told = visitor_who(("track", 0), exit={"event": "Ordered"}), new_user(exit={"event": "Ordered"})
    told.track("Ordered", S)
    told.take(past(visitor, 2 * S))
    told.device(3 * S)
    assert entered(told) == [3 * S]
    assert refusals(told) == [("push_a", "exit", 3 * S)]


def test_a_deletion_clears_it() -> None:
    told = new_user(exit={"event": "Ordered"})
    told.track("Ordered", 0)
    told.track("Bought", 0)
    told.take(told.call("delete", S))
    assert (told.user.journeys, told.user.recent, PARTS.deadline_of(told.user)) == ({}, {}, None)


def test_of_many_in_one_campaign_one_goes_on_beside_an_entry_that_is_pending() -> None:
    """Who is outside the audience by now is asked again after a second trigger; two visitors had entered as well."""
    audience = {"not": {"event": "Viewed", "within": "2h"}}
    steps = [{"wait": "1d"}, {"send": "push_a"}]
    compiled = compile_plain(definitions(policies={"settling": "30s"}, audience=audience, steps=steps))

    def call(type_: str, second: int, user: str | None, visitor: str | None = None, name: str = "") -> Event:
        at = START + second * S
        device = {"device": {"token": "t", "type": "ios"}}
        return Event(f"{type_}{second}{user}", type_, name, at, at, user, visitor, context=device if user else {})

    events = [call("track", at, None, visitor, "Bought") for at, visitor in ((-100, "a1"), (-50, "a2"))]
    events += [call("track", at, "u", None, name) for at, name in ((1, "Bought"), (2, "Viewed"), (3, "Bought"))]
    events += [call("identify", 5, "u", "a1"), call("identify", 6, "u", "a2")]
    _, effects = run_bounded(events, compiled, START + 3 * 86_400 * S)
    assert len(of_type(Send, effects)) == 1
