"""Events that come before the trigger that they follow: exits, waits and goals look back at the newest of them."""

import pytest
from campaigns.campaign_story import conversions, definitions, refusals, sends, story
from core import HOUR, MINUTE, Story, compile_plain

from transforms.users.editor import UserEditor
from transforms.users.size_limit import SIZE_LIMIT, enforce_size_limit
from transforms.users.user import decode_user, encode_user

S = 1_000_000
EXIT = {"event": "Ordered"}


def test_an_exit_that_came_before_its_trigger_ends_the_entry_at_once() -> None:
    told = story(exit=EXIT)
    told.track("Ordered", 3 * MINUTE)
    told.track("Bought", 4 * MINUTE, time=0)
    assert told.entered == ["c"]
    assert refusals(told) == [("push_a", "exit", 4 * MINUTE)]
    assert sends(told) == []
    assert told.user.journeys == {}


def test_one_that_is_no_later_does_not() -> None:
    told = story(exit=EXIT)
    told.track("Ordered", MINUTE)
    told.track("Bought", 2 * MINUTE, time=MINUTE + 1)
    assert len(sends(told)) == 1


def test_at_one_instant_the_message_id_decides() -> None:
    for id_, sent in (("a", 1), ("z", 0)):
        told = story(exit=EXIT)
        told.track("Ordered", MINUTE, id_=id_)
        told.track("Bought", 2 * MINUTE, time=MINUTE, id_="m")
        assert len(sends(told)) == sent, id_


def test_the_causing_event_does_not_count() -> None:
    told = story(exit={"event": "Bought"}, goals={"bought": {"event": "Bought", "within": "1d"}})
    told.track("Bought", MINUTE)
    assert len(sends(told)) == 1
    assert conversions(told) == []
    told = story(trigger={"enters": "buyers"}, exit=EXIT)
    told.track("Ordered", 2 * MINUTE)
    assert len(sends(told)) == 1


def test_a_segment_triggers_when_somebody_is_in_it_whenever_that_happened_of_which_it_comes() -> None:
    """Nothing that came before can be later than now; so it is the same if it comes after, timed before the entry."""
    goals = {"paid": {"event": "Paid", "within": "1h"}}
    entered = {"trigger": {"enters": "buyers"}, "exit": {"event": "Paid"}, "goals": goals}
    told = story(**entered)
    told.track("Paid", 3 * MINUTE)
    told.track("Ordered", 4 * MINUTE, time=0)
    assert (len(sends(told)), refusals(told), conversions(told)) == (1, [], [])
    told = story(**entered, steps=[{"wait": {"for": {"event": "Paid"}, "at_most": "1h"}}, {"send": "push_a"}])
    told.track("Paid", 3 * MINUTE)
    told.track("Ordered", 4 * MINUTE, time=0)
    assert sends(told) == []
    told.track("Paid", 6 * MINUTE, time=3 * MINUTE + 1)
    assert (refusals(told), conversions(told)) == ([], [])
    told.track("Paid", 7 * MINUTE)
    assert refusals(told) == [("push_a", "exit", 7 * MINUTE)]
    assert conversions(told) == [("paid", True, 0.0, 7 * MINUTE)]


def test_the_newest_counts_in_whatever_order_they_come() -> None:
    told = story(exit=EXIT)
    told.track("Ordered", 3 * MINUTE)
    told.track("Ordered", 4 * MINUTE, time=0)
    told.track("Bought", 5 * MINUTE, time=2 * MINUTE)
    assert sends(told) == []


def test_filters_are_kept_apart() -> None:
    where = {"sum": {"at_least": 10}}
    told = story(exit={"event": "Ordered", "where": where})
    told.track("Ordered", 3 * MINUTE, {"sum": 9})
    told.track("Bought", 4 * MINUTE, time=0)
    assert len(sends(told)) == 1
    told.track("Ordered", 5 * MINUTE, {"sum": 10})
    told.track("Bought", 6 * MINUTE, time=4 * MINUTE)
    assert len(sends(told)) == 1


def test_with_same_the_value_is_the_triggers_and_the_newest_64_are_known() -> None:
    told = story(exit={"event": "Ordered", "same": "cart"})
    for cart in range(65):
        told.track("Ordered", MINUTE + cart * S, {"cart": float(cart)})
    last = MINUTE + 65 * S
    for cart, sent in ((64, 0), (1, 0), (0, 1), (99, 2)):
        told.track("Bought", last, {"cart": cart}, time=0)
        assert len(sends(told)) == sent, cart
    told.track("Bought", last, {"cart": "64"}, time=0)
    assert len(sends(told)) == 3


def test_who_was_held_out_is_one_that_entered() -> None:
    told = story(exit=EXIT, holdout=100)
    told.track("Ordered", 3 * MINUTE)
    told.track("Bought", 4 * MINUTE, time=0)
    assert told.entered == ["c"]
    assert told.reasons == ["holdout"]


def test_a_goal_is_reached_by_what_came_before() -> None:
    goals = {"paid": {"event": "Paid", "within": "5m", "value": "sum"}, "later": {"event": "Paid", "within": "2m"}}
    told = story(goals=goals)
    told.track("Paid", 3 * MINUTE, {"sum": 5})
    told.track("Bought", 4 * MINUTE, time=0)
    assert conversions(told) == [("paid", True, 5.0, 3 * MINUTE)]
    told.track("Paid", 5 * MINUTE, {"sum": 2}, time=2 * MINUTE)
    assert conversions(told)[1:] == [("paid", False, 2.0, 2 * MINUTE)]


WAITING = [{"wait": {"for": {"event": "Viewed"}, "at_most": "1d"}}, {"send": "push_a"}]


def test_a_wait_for_an_event_ends_by_one_that_came_before() -> None:
    told = story(steps=WAITING)
    told.track("Viewed", 3 * MINUTE)
    told.track("Bought", 4 * MINUTE, time=0)
    assert sends(told) == [("c", "push_a", 4 * MINUTE)]
    told = story(steps=WAITING)
    told.track("Viewed", MINUTE)
    told.track("Bought", 4 * MINUTE, time=2 * MINUTE)
    assert sends(told) == []
    told.track("Viewed", 5 * MINUTE, time=3 * MINUTE)
    assert sends(told) == [("c", "push_a", 5 * MINUTE)]


def test_a_second_wait_looks_no_further_back_than_the_event_of_the_first() -> None:
    told = story(steps=[WAITING[0], {"wait": {"for": {"event": "Paid"}, "at_most": "1d"}}, {"send": "push_a"}])
    told.track("Paid", 2 * MINUTE)
    told.track("Viewed", 3 * MINUTE)
    told.track("Bought", 4 * MINUTE, time=0)
    assert sends(told) == []
    told.track("Paid", 5 * MINUTE)
    assert sends(told) == [("c", "push_a", 5 * MINUTE)]


def test_a_wait_behind_another_begins_when_it_begins() -> None:
    told = story(steps=[{"wait": "1h"}, *WAITING])
    told.track("Bought", 0)
    told.track("Viewed", 30 * MINUTE)
    told.wake(2 * HOUR)
    assert sends(told) == []


@pytest.mark.parametrize("token", [3, 9])
def test_an_event_that_came_while_a_send_was_held_back_ends_the_wait_behind_it(token: int) -> None:
    steps = [{"send": "webhook_a"}, {"wait": "5s"}, {"send": "push_a"}, *WAITING[:1], {"send": "webhook_b"}]
    told = Story(compile_plain(definitions(policies={"settling": "30s"}, steps=steps)))
    told.track("Bought", 0)
    for at, come in sorted([(token * S, told.device), (6 * S, lambda at: told.track("Viewed", at))]):
        come(at)
    told.wake(10 * S)
    pushed = max(token, 5) * S
    assert sends(told)[1:] == [("c", "push_a", pushed), ("c", "webhook_b", max(pushed, 6 * S))]


def test_what_nothing_asks_for_is_not_remembered() -> None:
    told = story(exit=EXIT)
    told.track("Viewed", 0)
    assert told.user.recent == {}
    told.track("Ordered", 0)
    assert len(told.user.recent) == 1
    assert decode_user(encode_user(told.user)) == told.user
    told.definitions = compile_plain(definitions(exit={"event": "Paid"}))
    told.identify(MINUTE)
    assert told.user.recent == {}


def test_long_values_of_same_take_little_room() -> None:
    told = story(exit={"event": "Ordered", "same": "cart"})
    for number in range(64):
        told.track("Ordered", MINUTE + number, {"cart": f"{number}" + "x" * 20_000})
    assert len(encode_user(told.user)) < 20_000
    told.track("Bought", 2 * MINUTE, {"cart": "5" + "x" * 20_000}, time=0)
    assert sends(told) == []
    told.track("Bought", 2 * MINUTE, {"cart": "5" + "x" * 20_001}, time=0)
    assert len(sends(told)) == 1


def test_what_the_cap_drops_is_looked_back_at_no_more() -> None:
    told = story(exit=EXIT)
    told.track("Ordered", 3 * MINUTE)
    told.identify(4 * MINUTE, {f"trait_{number}": "x" * 3_000 for number in range(100)})
    user, data, effects = enforce_size_limit(told.user, told.definitions)
    assert len(data) <= SIZE_LIMIT
    assert effects
    assert user.recent == told.user.recent  # a guard goes after what is known of the user
    editor = UserEditor(told.user, told.definitions)
    editor.recent.drop(
        {"recent": {(key, place) for key, places in editor.recent.kept.items() for place in places}}, editor
    )
    assert editor.close().recent == {}
