"""Merging is union: anonymous pasts join a user in any order, as often as you like, and nothing counts twice."""

import itertools
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, compile_plain, decode_all, essence, of_type
from generators import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import Send, Suppressed
from transforms.events.event import Event
from transforms.users.advance import advance_anonymous, fold
from transforms.users.effects import Account, Forward, Merged
from transforms.users.user import Merge, User, Wake

Plain = dict[str, Any]

#: What is added up, what is joined as a set, and what is asked of each value.
ASKED = {
    "spent": {"event": "Ordered", "sum": {"of": "amount", "at_least": 3}},
    "spent_today": {"event": "Ordered", "sum": {"of": "lines[].price", "at_least": 3}, "within": "1d"},
    "loyal": {"event": "Ordered", "same": "kind", "sum": {"of": "amount", "more_than": 2}, "within": "1w"},
    "modest": {"event": "any", "average": {"of": "amount", "at_most": 2}, "since": "2026-03-28"},
    "busy": {"event": "any", "count": {"between": [3, 2000]}, "within": "1w"},
    "greatest": {"event": "any", "maximum": {"of": "amount", "is": 2}, "within": "1d"},
    "varied": {"event": "any", "distinct": {"of": "kind", "at_least": 2}},
    "often": {"event": "Viewed", "same": "kind", "count": {"at_least": 2}},
    "followed": {"sequence": [{"event": "Viewed"}, {"event": "Ordered", "within": "1d"}]},
}
SEGMENTS = {**SHOP["segments"], **{name: {"members": members} for name, members in ASKED.items()}}
#: Without exits: whether somebody was in a segment between two merges depends on which came first.
CAMPAIGNS = compile_plain(
    {
        **SHOP,
        "segments": SEGMENTS,
        "campaigns": {name: {**body, "exit": []} for name, body in SHOP["campaigns"].items()},
    }
)
some = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


def pasts(history: list[Plain], at: int) -> tuple[list[Merge], dict[str, list[Event]]]:
    """What the anonymous ids of a history hand over when `u1` identifies with all of them at one time."""
    events: dict[str, list[Event]] = {}
    for event in sorted(decode_all(history), key=lambda event: (event.arrival, event.id)):
        if event.anonymous is not None and event.type != "alias":
            events.setdefault(f"~{event.anonymous}", []).append(msgspec.structs.replace(event, user=None))
    merges = []
    for key, items in events.items():
        identify = Event(f"identify {key}", "identify", "", at, at, user="u1", anonymous=key[1:])
        _, effects = fold(User(key), [*items, identify], CAMPAIGNS)
        merges += [forward.input for forward in of_type(Forward, effects) if isinstance(forward.input, Merge)]
    return merges, events


def own(history: list[Plain]) -> list[Event]:
    """The events of `u1` with a user id, as they arrive."""
    events = [event for event in decode_all(history) if event.user == "u1" and event.type != "alias"]
    mine = [msgspec.structs.replace(event, anonymous=None, id=f"u1 {event.id}") for event in events]
    return sorted(mine, key=lambda event: (event.arrival, event.id))


@some
@given(st.data())
def test_any_order_and_repetition_of_merges_ends_in_the_same_user(data: st.DataObject) -> None:
    history = data.draw(histories())
    at = START + 9 * DAY
    merges, _ = pasts(history, at)
    begun, _ = fold(User("u1"), own(history), CAMPAIGNS)
    once, effects = fold(begun, [*merges, Wake(at + 60 * DAY)], CAMPAIGNS)
    mixed = data.draw(st.permutations(merges + (data.draw(st.lists(st.sampled_from(merges))) if merges else [])))
    again, effects_again = fold(begun, [*mixed, Wake(at + 60 * DAY)], CAMPAIGNS)
    assert essence({"u1": again}, CAMPAIGNS) == essence({"u1": once}, CAMPAIGNS)
    assert (again.merged, again.entries, again.seen) == (once.merged, once.entries, once.seen)
    sent, sent_again = of_type(Send, effects), of_type(Send, effects_again)
    assert sorted(send.id for send in sent_again) == sorted(send.id for send in sent)
    assert len({send.id for send in sent_again}) == len(sent_again)
    assert len(of_type(Merged, effects_again)) == len(merges)


@some
@given(histories())
def test_a_merged_user_is_the_user_who_did_it_all(history: list[Plain]) -> None:
    at = START + 9 * DAY
    merges, events = pasts(history, at)
    mine = own(history)
    merged, _ = fold(User("u1"), [*mine, *merges, Wake(at)], CAMPAIGNS)
    everything = sorted([*mine, *itertools.chain(*events.values())], key=lambda event: (event.arrival, event.id))
    alone, _ = fold(User("u1"), [*everything, Wake(at)], CAMPAIGNS)
    assert essence({"u1": merged}, CAMPAIGNS) == essence({"u1": alone}, CAMPAIGNS)


CART = compile_plain(
    {
        "segments": {
            "viewers": {"members": {"event": "Viewed"}},
            "buyers": {"members": {"event": "Ordered"}},
        },
        "campaigns": {
            "cart": {
                "trigger": {"enters": "viewers"},
                "steps": [{"wait": "1h"}, {"send": "push"}],
                "exit": {"segment": "buyers"},
                "consent": "offers",
            }
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


def past(anonymous: str, *events: tuple[str, int], at: int) -> Merge:
    """What an anonymous id with a device hands over at `at`, having done these events."""
    context = {"device": {"token": f"token {anonymous}"}}
    done = [
        Event(f"{anonymous} {name}", "track", name, START + time, START + time, anonymous=anonymous, context=context)
        for name, time in events
    ]
    identify = Event(f"i {anonymous}", "identify", "", START + at, START + at, user="u1", anonymous=anonymous)
    _, effects = fold(User(f"~{anonymous}"), [*done, identify], CART)
    (merge,) = [forward.input for forward in of_type(Forward, effects) if isinstance(forward.input, Merge)]
    return merge


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("begun", [0, 1])
def test_of_two_journeys_in_one_campaign_the_earlier_goes_on(begun: int, turned: bool) -> None:
    """Entries made at one instant have one name, of segment and instant: the user at entry tells them apart then."""
    first, second = past("a1", ("Viewed", 0), at=30 * MINUTE), past("a2", ("Viewed", begun), at=30 * MINUTE)
    merges = [second, first] if turned else [first, second]
    _, effects = fold(User("u1"), [*merges, Wake(START + DAY)], CART)
    assert [refused.reason for refused in of_type(Suppressed, effects)] == ["merged"]
    sends = of_type(Send, effects)
    assert sorted((send.address, send.decided_at) for send in sends) == [
        ("token a1", START + HOUR),
        ("token a2", START + HOUR),
    ]
    _, unmerged = fold(first.user, [Wake(START + DAY)], CART)
    assert {send.id for send in of_type(Send, unmerged)} < {send.id for send in sends}


@pytest.mark.parametrize("turned", [False, True])
def test_a_journey_does_not_go_on_for_a_user_who_is_where_it_ends(turned: bool) -> None:
    merges = [past("a1", ("Viewed", 0), at=30 * MINUTE), past("a2", ("Ordered", 1), at=30 * MINUTE)]
    user, effects = fold(User("u1"), reversed(merges) if turned else merges, CART)
    assert user.journeys == {}
    assert [refused.reason for refused in of_type(Suppressed, effects)] == ["exit"]


def test_the_same_past_is_handed_over_at_each_identify_and_taken_once() -> None:
    """So that a crash between the two steps loses nothing."""
    anonymous = User("~a1")
    handed: list[Merge] = []
    user = User("u1")
    ended: list[str] = []
    viewed = Event("v", "track", "Viewed", START, START, anonymous="a1")
    for number in range(3):
        at = START + number * HOUR
        identify = Event(f"i{number}", "identify", "", at, at, user="u1", anonymous="a1")
        for item in [viewed, identify] if number == 0 else [identify]:
            anonymous, effects = advance_anonymous(anonymous, item, CART)
            for forward in of_type(Forward, effects):
                if isinstance(forward.input, Merge):
                    handed.append(forward.input)
                user, found = fold(user, [forward.input], CART)
                ended += [account.message for account in of_type(Account, found)]
    assert len(handed) == 3
    assert handed[0] == handed[1] == handed[2]
    assert ended == ["i0", "i1", "i2"]
    assert user.merged == ("~a1",)


@some
@given(st.lists(st.sampled_from(["ann", "bob", "eve", None]), max_size=100), st.randoms(use_true_random=False))
def test_what_a_visitor_did_goes_to_the_same_user_whenever_it_comes_again(calls: list[str | None], random: Any) -> None:
    """Also when somebody else has the visitor by then; and the next calls go to whoever had it last."""
    events = [
        Event(f"m{number:03}", "track", "Viewed", START, START + number // 3, user=user, anonymous="a")
        for number, user in enumerate(calls)
    ]
    visitor, first = fold(User("~a"), events, CAMPAIGNS)
    again, second = fold(visitor, sorted(events, key=lambda _: random.random()), CAMPAIGNS)

    def went(effects: Any) -> dict[str, str]:
        forwards = [forward for forward in of_type(Forward, effects) if isinstance(forward.input, Event)]
        return {forward.input.id: forward.user for forward in forwards}

    assert went(second) == went(first)
    assert again.owner == visitor.owner


def test_who_had_a_visitor_is_remembered_for_sixty_four_changes() -> None:
    def call(number: int, user: str | None) -> Event:
        return Event(f"m{number:03}", "track", "Viewed", START, START + number, user=user, anonymous="a")

    named = [call(2 * number, ("ann", "bob")[number % 2]) for number in range(100)]
    visitor, _ = fold(User("~a"), named, CAMPAIGNS)
    assert visitor.owner is not None
    assert len(visitor.owner.named) == 64
    for number in range(36, 100):
        (forward,) = of_type(Forward, fold(visitor, [call(2 * number + 1, None)], CAMPAIGNS)[1])
        assert forward.user == ("ann", "bob")[number % 2]
