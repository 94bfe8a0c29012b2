"""Who may enter, and in which arm: dates, holdouts, variants, entering again, and the order of the questions."""

from collections import Counter

import pytest
from campaigns.campaign_story import Plain, definitions, entries, refusals, sends, story
from core import DAY, HOUR, START, Story, compile_plain
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.entry import arm_of
from transforms.events.event import Event
from transforms.users.advance import advance, fold
from transforms.users.user import Merge, User


@pytest.mark.parametrize(
    ("at", "reason"),
    [(DAY - 1, "not_started"), (DAY, None), (2 * DAY - 1, None), (2 * DAY, "ended")],
)
def test_a_campaign_starts_at_an_instant_and_ends_before_another(at: int, reason: str | None) -> None:
    told = story(starts="2026-03-28T00:00:00Z", ends="2026-03-29T00:00:00Z")
    told.track("Bought", at)
    assert told.reasons == ([] if reason is None else [reason])
    assert len(told.entered) == (reason is None)


def test_dates_begin_when_they_do_for_the_user() -> None:
    told = story(starts="2026-03-28", ends="2026-03-29", traits={"timezone": "Asia/Tokyo"})
    for hour in (14, 15, 38, 39):
        told.track("Bought", hour * HOUR)
    assert told.reasons == ["not_started", "ended"]


def test_the_end_of_a_campaign_ends_no_journey() -> None:
    told = story(steps=[{"wait": "2h"}, {"send": "push_a"}], ends="2026-03-27T02:00:00Z")
    told.track("Bought", HOUR)
    told.wake(DAY)
    assert sends(told) == [("c", "push_a", 3 * HOUR)]


def test_who_is_held_out_enters_and_gets_nothing() -> None:
    told = story(holdout=100, reenter={"after": "1d"}, steps=[{"set": {"x": 1}}, {"send": "push_a"}])
    told.track("Bought", HOUR)
    told.track("Bought", 2 * HOUR)
    assert entries(told) == [(None, True)]
    assert refusals(told) == [("", "holdout", HOUR), ("", "reentry", 2 * HOUR)]
    assert (sends(told), told.user.journeys, told.user.profile.value("x")) == ([], {}, None)


def test_who_is_held_out_of_everything_does_not_enter_and_still_gets_what_is_transactional() -> None:
    policies = {"global_holdout": {"percent": 100, "salt": "2026h1"}}
    receipt = {"transactional": True, "steps": [{"send": "push_b"}]}
    told = story(policies=policies, campaigns={"c": {}, "receipt": receipt})
    told.track("Bought", HOUR)
    assert told.entered == ["receipt"]
    assert (sends(told), told.reasons) == ([("receipt", "push_b", HOUR)], ["global_holdout"])


def test_shares_are_those_of_many_users_and_independent_of_each_other() -> None:
    compiled = compile_plain(definitions(holdout=20, variants={"a": 50, "b": 30, "c": 20}, steps=[{"send": "push_a"}]))
    found = (arm_of(compiled.campaigns["c"], f"u{number}", None) for number in range(20_000))
    arms = Counter((arm.variant, arm.held_out) for arm in found)
    for (variant, held_out), count in arms.items():
        share = {"a": 0.5, "b": 0.3, "c": 0.2}[str(variant)] * (0.2 if held_out else 0.8)
        assert abs(count / 20_000 - share) < 0.01


def test_the_arm_is_kept_when_shares_change() -> None:
    told = story(holdout=100, variants={"a": 100, "b": 0})
    told.track("Bought", HOUR)
    changed = Story(compile_plain(definitions(holdout=0, variants={"a": 0, "b": 100})))
    changed.user = told.user
    changed.track("Bought", 2 * HOUR, id_="second")
    assert entries(changed) == [("a", True)]


def test_a_variant_that_is_gone_is_fixed_anew() -> None:
    told = story(variants={"a": 100})
    told.track("Bought", HOUR)
    changed = Story(compile_plain(definitions(variants={"b": 100})))
    changed.user = told.user
    changed.track("Bought", 2 * HOUR, id_="second")
    assert entries(changed) == [("b", False)]


WAITING = {"steps": [{"wait": "1d"}, {"send": "push_a"}]}


def test_restart_begins_anew_and_so_sends_once_after_the_last() -> None:
    told = story(reenter="restart", **WAITING)
    for hour in (1, 2, 3):
        told.track("Bought", hour * HOUR)
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", 3 * HOUR + DAY)]
    assert refusals(told) == [("push_a", "restarted", 2 * HOUR), ("push_a", "restarted", 3 * HOUR)]


def test_who_may_not_enter_again_restarts_nothing() -> None:
    told = story(reenter="restart", audience={"not": {"segment": "vips"}}, **WAITING)
    told.track("Bought", HOUR)
    told.identify(2 * HOUR, {"vip": True})
    told.track("Bought", 3 * HOUR)
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", HOUR + DAY)]


def test_each_value_of_the_triggers_property_has_one_journey_and_only_one() -> None:
    told = story(reenter={"each": "order.id"}, **WAITING)
    for hour, order in ((1, 1), (2, 2), (3, 1.0), (4, "1")):
        told.track("Bought", hour * HOUR, {"order": {"id": order}})
    told.track("Bought", 5 * HOUR, {"order": {}})
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", hour * HOUR + DAY) for hour in (1, 2, 4)]
    assert told.reasons == ["reentry", "no_value"]
    told.track("Bought", 4 * DAY, {"order": {"id": 2}})
    assert told.reasons[-1] == "reentry"


def test_an_exit_with_the_same_value_ends_one_of_several_journeys() -> None:
    told = story(reenter={"each": "id"}, exit={"event": "Paid", "same": "id"}, **WAITING)
    told.track("Bought", HOUR, {"id": 1})
    told.track("Bought", 2 * HOUR, {"id": 2})
    told.track("Paid", 3 * HOUR, {"id": 1})
    told.track("Paid", 3 * HOUR)
    told.wake(3 * DAY)
    assert sends(told) == [("c", "push_a", 2 * HOUR + DAY)]
    assert told.reasons == ["exit"]


def test_of_the_values_of_each_the_newest_are_remembered() -> None:
    told = story(reenter={"each": "id"})
    for number in range(300):
        told.track("Bought", HOUR + number, {"id": number})
    assert len(told.entered) == 300
    assert len(told.user.entries) == 257
    told.track("Bought", 2 * HOUR, {"id": 299})
    told.track("Bought", 2 * HOUR, {"id": 0})
    assert len(told.entered) == 301


ORDER: list[tuple[str, Plain]] = [
    ("paused", {"status": "paused"}),
    ("ended", {"ends": "2026-03-27T00:00:00Z"}),
    ("too_old", {"max_event_age": "30m"}),
    ("audience", {"audience": {"segment": "vips"}}),
    ("reentry", {"reenter": "never"}),
    ("in_journey", {}),
    ("no_consent", {}),
    ("global_holdout", {"policies": {"global_holdout": {"percent": 100, "salt": "x"}}}),
    ("holdout", {"holdout": 100}),
]


@pytest.mark.parametrize("first", range(len(ORDER)), ids=[reason for reason, _ in ORDER])
def test_the_first_reason_in_their_order_is_given(first: int) -> None:
    """The campaign has every cause from one on; one that did enter before supplies what needs an entry."""
    reason = ORDER[first][0]
    causes = dict(ORDER[first:])
    entered = {"reentry", "in_journey"} & causes.keys()
    before = {"steps": [{"wait": "9d"}, {"send": "push_a"}]} if "in_journey" in causes else {}
    told = story(**before)
    if entered:
        told.track("Bought", HOUR)
    more: Plain = {}
    for each in causes.values():
        more |= each
    changed = Story(compile_plain(definitions(**before, **more)))
    changed.user = told.user
    if "no_consent" in causes:
        changed.consent(2 * HOUR, "push", False, id_="denied")
    changed.track("Bought", 4 * HOUR, time=3 * HOUR, id_="late")
    assert changed.reasons == [reason]


@settings(max_examples=examples(60), deadline=None)
@given(st.permutations(range(4)), st.sampled_from(["always", "never", {"after": "2h"}, "restart"]))
def test_of_two_who_are_merged_the_arm_of_the_first_entry_stands(order: list[int], reenter: object) -> None:
    """Whichever way they are joined."""
    compiled = compile_plain(definitions(reenter=reenter, variants={"a": 50, "b": 50}))
    users = {}
    for place, name in enumerate(("u1", "u2")):
        inputs = [
            Event(f"{name} {n}", "track", "Bought", START + at, START + at, name)
            for n, at in enumerate(sorted((order[2 * place] * HOUR, order[2 * place + 1] * HOUR)))
        ]
        device = {"device": {"token": name, "type": "ios"}}
        first = Event(f"{name} d", "identify", "", START - HOUR, START - HOUR, name, context=device)
        users[name], _ = fold(User(name), [first, *inputs], compiled)
    pairs = (("u1", "u2"), ("u2", "u1"))
    pairs = (("u1", "u2"), ("u2", "u1"))
    merged = [advance(users[mine], Merge(START + DAY, users[theirs]), compiled)[0] for mine, theirs in pairs]
    first = min(users, key=lambda name: (users[name].entries["c"].first, users[name].entries["c"].id))
    for user in merged:
        assert user.entries["c"].variant == users[first].entries["c"].variant
        assert user.entries["c"].at == max(each.entries["c"].at for each in users.values())
    assert merged[0].entries == merged[1].entries
