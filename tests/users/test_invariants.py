"""The invariants of the core on random histories: order, history, accounts, decisions, deletion, junk.

DESIGN.md numbers them; the names of the tests say what each means.
"""

import json
from collections import Counter, defaultdict
from random import Random
from typing import Any

import msgspec
from core import (
    DAY,
    HOUR,
    START,
    Loop,
    compile_plain,
    decode_all,
    documented_reasons,
    essence,
    of_type,
    outcomes,
    routed,
    run_bounded,
    within_horizon,
)
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import instant
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import CampaignEntered, Send, Suppressed
from transforms.events.event import Event
from transforms.segments.leaves import matcher
from transforms.users.advance import advance, fold
from transforms.users.effects import Effect, Recorded, SegmentEntered, SegmentLeft
from transforms.users.user import Input, User, Wake, decode_user, encode_user

Plain = dict[str, Any]


def some(count: int) -> settings:
    return settings(max_examples=examples(count), deadline=None, suppress_health_check=list(HealthCheck))


CAMPAIGNS = compile_plain(SHOP)
#: The reasons by which a journey ends before its last step.
ENDS = ("exit", "restarted")
#: Long enough for every window, wait and delay in these histories to be over.
FAR = 60 * DAY


def end_of(events: list[Event]) -> int:
    return max(event.arrival for event in events) + FAR


def first_copies(events: list[Event]) -> list[Event]:
    """Each message as it came first: a copy without a timestamp would be timed by its own arrival."""
    by_arrival = sorted(events, key=lambda event: event.arrival, reverse=True)
    return list({event.id: event for event in by_arrival}.values())


def identified(events: list[Event]) -> list[Event]:
    """The same events without anonymous ids: each of those becomes a user."""
    return [
        msgspec.structs.replace(event, user=event.user or f"user {event.anonymous}", anonymous=None)
        for event in events
        if event.type != "alias"
    ]


def decisions(effects: list[Effect]) -> dict[str, list[Effect]]:
    """What the effects say to the outside: each user's entries, sends, refusals and changes of membership, in order."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        if isinstance(effect, CampaignEntered | Send | Suppressed | SegmentEntered | SegmentLeft):
            found[effect.user].append(effect)
    return dict(found)


@some(150)
@given(st.data())
def test_order_and_repetition_change_no_profile_leaf_or_membership(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    events, compiled = first_copies(decode_all(history)), compile_plain(plain)
    as_of = data.draw(st.sampled_from([time for time in instants(plain, history) if time >= end_of(events) - FAR]))
    expected, _ = run_bounded(events, compiled, as_of)

    def processed(inputs: list[Input]) -> list[Input]:
        """As a live job might see them: in any order, whatever their arrival, and some again."""
        again = data.draw(st.lists(st.sampled_from(inputs), max_size=3)) if within_horizon(events) else []
        return data.draw(st.permutations(inputs + again))

    found, _ = run_bounded(data.draw(st.permutations(events)), compiled, as_of, order=processed)
    assert essence(found, compiled) == essence(expected, compiled)


@some(100)
@given(st.data())
def test_effects_are_documented_come_once_and_do_not_change_with_repetition(data: st.DataObject) -> None:
    events = decode_all(data.draw(histories()))
    as_of = end_of(events)
    users, effects = run_bounded(events, CAMPAIGNS, as_of)
    sends = of_type(Send, effects)
    assert len({send.id for send in sends}) == len(sends)
    assert {refused.reason for refused in of_type(Suppressed, effects)} <= documented_reasons()
    for send in sends:
        assert send.address
        assert send.not_after > send.decided_at
    # A repetition comes with an arrival of its own, inside the horizon of 24 hours.
    again = [msgspec.structs.replace(event, arrival=event.arrival + HOUR) for event in events]
    users_again, effects_again = run_bounded(data.draw(st.permutations(events + again)), CAMPAIGNS, as_of)
    assert essence(users_again, CAMPAIGNS) == essence(users, CAMPAIGNS)
    assert decisions(effects_again) == decisions(effects)


def test_what_came_late_is_known_again() -> None:
    """It is by when it was applied that a message is forgotten, not by its arrival."""
    once = compile_plain({"segments": {"once": {"members": {"event": "E", "sum": {"of": "one", "is": 1}}}}})
    late = Event("m2", "track", "E", START, START, user="u", properties={"one": 1})
    newest = Event("m1", "track", "Other", START + 3 * DAY, START + 3 * DAY, user="u")
    user, effects = fold(User("u"), [newest, late, late], once)
    assert outcomes(effects) == {"m1": ["applied"], "m2": ["applied", "duplicate"]}
    assert set(user.members) == {"once"}


@some(100)
@given(st.data())
def test_wakes_anywhere_change_nothing(data: st.DataObject) -> None:
    events = decode_all(data.draw(histories()))
    as_of = end_of(events)
    deleted = data.draw(st.booleans())
    if deleted:
        newest = max(events, key=lambda event: event.arrival)
        late = newest.arrival + data.draw(st.sampled_from([0, HOUR, 2 * DAY]))
        events.append(Event("gone", "delete", "", newest.arrival, late, user="u1"))
    times = st.integers(min(event.arrival for event in events), as_of)
    wakes = data.draw(st.lists(times, max_size=8))

    def woken(inputs: list[Input]) -> list[Input]:
        return sorted([*inputs, *map(Wake, wakes)], key=lambda item: (item.arrival, item.id))

    users, effects = run_bounded(events, CAMPAIGNS, as_of)
    users_woken, effects_woken = run_bounded(events, CAMPAIGNS, as_of, order=woken)
    assert decisions(effects_woken) == decisions(effects)
    assert essence(users_woken, CAMPAIGNS) == essence(users, CAMPAIGNS)


@some(60)
@given(histories())
def test_one_call_an_input_is_the_same_as_one_fold(history: list[Plain]) -> None:
    inputs: list[Input] = sorted(decode_all(history), key=lambda event: (event.arrival, event.id))
    inputs = [item for item in inputs if isinstance(item, Event) and item.user == "u1" and item.type != "alias"]
    inputs.append(Wake(instant("2026-06-01T00:00:00Z") or 0))
    folded, effects = fold(User("u1"), inputs, CAMPAIGNS)
    user, singly = User("u1"), []
    for item in inputs:
        user, found = advance(decode_user(encode_user(user)), item, CAMPAIGNS)
        singly += found
    assert singly == effects
    assert msgspec.structs.replace(user, version=0) == msgspec.structs.replace(folded, version=0)


@some(100)
@given(histories(shared_devices=True))
def test_a_history_marked_historical_never_sends(history: list[Plain]) -> None:
    """Neither while it is read nor when it is settled up to a time far behind it, whoever is identified in it."""
    events = [msgspec.structs.replace(event, historical=True) for event in decode_all(history)]
    users, effects = run_bounded(events, CAMPAIGNS, end_of(events))
    assert of_type(Send, effects) == of_type(CampaignEntered, effects) == []
    assert {refused.reason for refused in of_type(Suppressed, effects)} <= {"historical", "paused"}
    assert not any(user.journeys for user in users.values())


@some(100)
@given(histories(), st.integers(1, 5))
def test_events_older_than_allowed_never_send(history: list[Plain], extra: int) -> None:
    """Everything arrives just too late to trigger; what time brings about is left out of the definitions."""
    oldest = max(campaign.max_event_age for campaign in CAMPAIGNS.campaigns.values())
    events = [
        msgspec.structs.replace(event, arrival=event.time + oldest + extra, historical=False)
        for event in decode_all(history)
    ]
    timeless = {name: SHOP["campaigns"][name] for name in ("thanks", "tour")}
    timeless["paying"] = {**SHOP["campaigns"]["win_back"], "trigger": {"enters": "paying"}}
    used = {name: SHOP["messages"][name] for name in SHOP["messages"] if name in json.dumps(timeless)}
    compiled = compile_plain({**SHOP, "campaigns": timeless, "messages": used})
    _, effects = run_bounded(events, compiled, end_of(events))
    assert of_type(Send, effects) == []
    assert {refused.reason for refused in of_type(Suppressed, effects)} <= {"too_old"}


@some(100)
@given(histories(shared_devices=True), st.lists(st.integers(0, 30), max_size=2), st.integers(0, 2**32))
def test_every_message_ends_once(history: list[Plain], deletions: list[int], seed: int) -> None:
    """Some on the way back, where an alias goes on to the user into whom its previous id was merged before."""
    events = decode_all(history)
    arrival = end_of(events) - FAR
    for number, hours in enumerate(deletions):
        events.append(Event(f"delete{number}", "delete", "", arrival - hours * HOUR, arrival, user="u1"))
    loop = Loop(CAMPAIGNS, Random(seed))
    loop.deliver(routed(events))
    ended = outcomes(loop.effects)
    assert {message: len(ends) for message, ends in ended.items()} == Counter(event.id for event in events)
    assert {end for ends in ended.values() for end in ends} <= {"applied", "duplicate", "deleted", "dead_letter"}


@some(100)
@given(histories())
def test_every_trigger_and_every_step_end_in_what_was_asked_or_a_reason(history: list[Plain]) -> None:
    events = identified(decode_all(history)) or [Event("m", "track", "Viewed", 0, 0, user="u1")]
    users, effects = run_bounded(events, CAMPAIGNS, end_of(events))
    check_triggers(effects)
    check_steps(users, effects)


def check_triggers(effects: list[Effect]) -> None:
    """Each ends in an entry, or a reason."""
    expected: Counter[tuple[str, str]] = Counter()
    for campaign in CAMPAIGNS.campaigns.values():
        trigger = campaign.trigger
        if trigger.schedule is not None:  # a run is no message
            continue
        for change in of_type(SegmentEntered if trigger.kind == "enters" else SegmentLeft, effects):
            expected[campaign.id, change.user] += change.segment == trigger.segment
        for recorded in of_type(Recorded, effects):
            if trigger.events is not None and matcher(trigger.events)(recorded.event):
                expected[campaign.id, recorded.user] += 1
    entries = [(entry.campaign, entry.user) for entry in of_type(CampaignEntered, effects) if not entry.held_out]
    refused = [(each.campaign, each.user) for each in of_type(Suppressed, effects) if not each.step]
    found = Counter(each for each in entries + refused if each[0] != "weekly")
    assert found == +expected


def check_steps(users: dict[str, User], effects: list[Effect]) -> None:
    """A journey that has ended decided all its sends in their order, or says by one reason at which step it ended."""
    assert not [user for user in users.values() if user.journeys], "all waits are over by then"
    decided: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for effect in effects:
        if isinstance(effect, Send | Suppressed) and effect.step:
            decided[effect.user, effect.entry].append((effect.step, getattr(effect, "reason", "")))
    for entry in of_type(CampaignEntered, effects):
        if entry.held_out:
            continue
        sends = [step.id for step in CAMPAIGNS.campaigns[entry.campaign].steps if step.kind == "send"]
        found = decided[entry.user, entry.entry]
        ended = [reason for _, reason in found if reason in ENDS]
        # A step sends to each device, and is one decision.
        done = list(dict.fromkeys(step for step, reason in found if reason not in ENDS))
        assert len(ended) <= 1
        assert done == sends[: len(done)]
        assert (len(done) < len(sends)) is bool(ended)
