"""Random campaigns and calls: the core decides as the oracle does, at once and one by one.

Within settling the order of arrival changes nothing.
"""

from itertools import count
from typing import Any

import msgspec
import pytest
from campaigns.campaign_story import definitions
from core import DAY, HOUR, START, compile_plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle_campaigns import simulate
from strength import examples

from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed
from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.users.advance import advance, fold
from transforms.users.effects import Effect
from transforms.users.parts import PARTS
from transforms.users.user import Input, User, Wake, decode_user, encode_user

Plain = dict[str, Any]

S = 1_000_000
SETTLING = 30 * S
UNTIL = START + 30 * DAY

MESSAGES = st.lists(st.sampled_from(["push_a", "email_a", "webhook_a"]), min_size=1, max_size=3, unique=True)
WAITS = st.sampled_from(["5s", "20s", "1h"])
AWAITED = st.sampled_from([{"event": "Viewed"}, {"event": "Viewed", "same": "cart"}, {"event": "Ordered"}])
SIMPLE = st.one_of(
    st.fixed_dictionaries({"send": MESSAGES}),
    st.fixed_dictionaries({"send": MESSAGES}),
    st.fixed_dictionaries({"wait": WAITS}),
    st.fixed_dictionaries({"wait": st.fixed_dictionaries({"for": AWAITED, "at_most": WAITS})}),
)
BRANCHES = st.fixed_dictionaries(
    {
        "if": st.just({"attribute": "vip", "is": True}),
        "then": st.lists(SIMPLE, min_size=1, max_size=2),
        "else": st.lists(SIMPLE, min_size=1, max_size=2),
    }
)


def named(steps: list[Plain], numbers: Any) -> list[Plain]:
    """Steps with ids of their own, also those inside others."""
    inner = [{key: named(step[key], numbers) for key in ("then", "else") if key in step} for step in steps]
    return [{**step, **more, "id": f"s{next(numbers)}"} for step, more in zip(steps, inner, strict=True)]


@st.composite
def campaigns(draw: st.DrawFn) -> Plain:
    steps = draw(st.lists(SIMPLE | BRANCHES, min_size=1, max_size=4))
    last = {"send": draw(MESSAGES)}
    campaign: Plain = {"steps": named([*steps, last], count())}
    campaign["reenter"] = draw(st.sampled_from(["never", "always", {"after": "20s"}]))
    options = {
        "exit": st.sampled_from([{"event": "Ordered"}, {"event": "Ordered", "same": "cart"}]),
        "audience": st.just({"attribute": "vip", "is": True}),
        "max_delay": st.sampled_from(["4s", "40s"]),
        "goals": st.just({"seen": {"event": "Viewed", "within": "1m"}, "bought": {"event": "Bought", "within": "1h"}}),
    }
    return campaign | draw(st.fixed_dictionaries({}, optional=options))


@st.composite
def calls(draw: st.DrawFn) -> list[Event]:
    found = []
    for number in range(draw(st.integers(1, 9))):
        arrival = START + draw(st.integers(0, 45)) * S
        late = draw(st.sampled_from([0, 0, 0, S, 5 * S, 20 * S, HOUR + 1]))
        found.append(call(draw(WHAT), f"{draw(st.sampled_from('abc'))}{number}", arrival - late, arrival))
    return found


CARTS = st.sampled_from([{}, {"cart": 1}, {"cart": 2}])
WHAT = st.one_of(
    st.tuples(st.just("Bought"), CARTS),
    st.tuples(st.just("Bought"), CARTS),
    st.tuples(st.sampled_from(["Ordered", "Viewed"]), CARTS),
    st.tuples(st.just("token"), st.none()),
    st.tuples(st.just("traits"), st.sampled_from([{"vip": True}, {"vip": False}, {"email": "u@x.com"}])),
    st.tuples(st.just("consent"), st.tuples(st.sampled_from(["push", "email"]), st.sampled_from([True, True, False]))),
)


def call(what: tuple[str, Any], id_: str, time: int, arrival: int) -> Event:
    kind, said = what
    place = (time, arrival, "u")
    if kind == "token":
        return Event(id_, "identify", "", *place, context={"device": {"token": "t", "type": "ios"}})
    if kind == "traits":
        return Event(id_, "identify", "", *place, traits=said)
    if kind == "consent":
        properties = {"topic": "offers", "channel": said[0], "granted": said[1]}
        return Event(id_, "track", "Consent Changed", *place, properties=properties)
    return Event(id_, "track", kind, *place, properties=said)


def compiled(campaign: Plain) -> Definitions:
    return compile_plain(definitions(policies={"settling": "30s"}, **campaign))


def told(effects: list[Effect]) -> list[tuple[str, str, str, int]]:
    found = []
    for effect in effects:
        if isinstance(effect, CampaignEntered):
            found.append(("entered", "", "", effect.at))
        elif isinstance(effect, Send):
            found.append(("sent", effect.step, effect.message, effect.decided_at))
        elif isinstance(effect, Suppressed):
            found.append(("refused", effect.step, effect.reason, effect.at))
        elif isinstance(effect, Converted) and effect.first:
            found.append(("goal", effect.goal, "", effect.at))
    return found


@settings(max_examples=examples(600), deadline=None, suppress_health_check=list(HealthCheck))
@given(campaigns(), calls())
def test_the_core_decides_as_the_oracle(campaign: Plain, history: list[Event]) -> None:
    machine = compiled(campaign)
    inputs: list[Input] = [*sorted(history, key=lambda each: (each.arrival, each.id)), Wake(UNTIL)]
    user, effects = fold(User("u"), inputs, machine)
    assert sorted(told(effects)) == sorted(simulate(campaign, history, SETTLING, UNTIL))
    live, one_by_one = User("u"), []
    for item in inputs:
        deadline = PARTS.deadline_of(live)
        if deadline is not None and deadline < item.arrival:  # as a timer does
            live, found = advance(live, Wake(deadline), machine)
            one_by_one += found
        live, found = advance(decode_user(encode_user(live)), item, machine)
        one_by_one += found
    assert told(one_by_one) == told(effects)
    assert msgspec.structs.replace(live, version=0) == msgspec.structs.replace(user, version=0)


NEEDED = [("token", None), ("traits", {"email": "u@x.com"}), ("traits", {"vip": True}), ("consent", ("email", True))]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(MESSAGES, min_size=1, max_size=3),
    st.booleans(),
    st.permutations([("Bought", {}), *NEEDED]),
    st.permutations([("Bought", {}), *NEEDED]),
    st.sets(st.sampled_from(range(4))),
)
def test_within_settling_the_order_of_arrival_changes_no_entry_and_no_send(
    sends: list[list[str]], audience: bool, first: list[Any], second: list[Any], left_out: set[int]
) -> None:
    """Of the same calls, timed the same, whichever of them are there."""
    campaign: Plain = {
        "steps": [{"id": f"s{n}", "send": messages} for n, messages in enumerate(sends)],
        "reenter": "never",
    }
    machine = compiled(campaign | ({"audience": {"attribute": "vip", "is": True}} if audience else {}))
    gone = [NEEDED[place] for place in left_out]
    outcomes = []
    for order in (first, second):
        inputs: list[Input] = []
        for place, what in enumerate(each for each in order if each not in gone):
            happened = START + [("Bought", {}), *NEEDED].index(what)
            inputs.append(call(what, what[0] + str(what[1]), happened, START + (place + 1) * 5 * S))
        _, effects = fold(User("u"), [*inputs, Wake(UNTIL)], machine)
        entries = [effect.entry for effect in effects if isinstance(effect, CampaignEntered)]
        outcomes.append((entries, [(e.id, e.message) for e in effects if isinstance(e, Send)]))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("late", range(1, 6))
def test_an_exit_stops_whatever_was_not_sent_before_it_came(late: int) -> None:
    """The order of ten past, and the trigger of ten: which of them comes first makes no difference."""
    machine = compiled({"steps": [{"id": "s", "send": ["push_a"]}], "reenter": "never", "exit": {"event": "Ordered"}})
    trigger = call(("Bought", {}), "b", START, START + 3 * S)
    exit_ = call(("Ordered", {}), "o", START + S, START + late * S)
    token = call(("token", None), "t", START, START + 6 * S)
    inputs: list[Input] = sorted([trigger, exit_, token], key=lambda each: (each.arrival, each.id))
    _, effects = fold(User("u"), [*inputs, Wake(UNTIL)], machine)
    assert [what for kind, _, what, _ in told(effects) if kind != "entered"] == ["exit"]
