"""A job whose engine goes back to checkpoints, at any moment: users are as if it had not, and nothing goes out twice.

See `going_back` for the model of the engine.
"""

import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from core import MINUTE, START, Loop, compile_plain, essence, texts_of
from going_back import Engine
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.event import Event
from transforms.users.user import route

SHOP = {
    "segments": {
        "viewer": {"members": {"event": "Viewed", "count": {"at_least": 2}}},
        "spender": {"members": {"event": "Ordered", "sum": {"of": "n", "at_least": 5}}},
    },
    "campaigns": {
        "hello": {
            "trigger": {"event": "Ordered"},
            "steps": [{"send": "push"}],
            "reenter": "always",
            "consent": "offers",
            "max_delay": "365d",
        }
    },
    "messages": {"push": {"channel": "push", "title": "Hello"}},
}
TEXTS, DEFINITIONS = texts_of(SHOP), compile_plain(SHOP)
#: Nobody is welcomed twice, so a user must know what the visitor was sent before anything else.
WELCOME = {
    "campaigns": {"welcome": SHOP["campaigns"]["hello"] | {"reenter": "never"}},
    "messages": SHOP["messages"],
}


def event(number: int, kind: str, visitor: str | None, user: str | None) -> Event:
    at = START + number * MINUTE
    device = {"device": {"token": f"token {visitor or user}"}}
    if kind == "alias":
        return Event(f"m{number}", "alias", "", at, at, user="ada", previous="bea")
    if kind == "identify":
        return Event(f"m{number}", "identify", "", at, at, user=user, anonymous=visitor, traits={f"t{number}": 1})
    return Event(
        f"m{number}", "track", kind, at, at, user=user, anonymous=visitor, context=device, properties={"n": number}
    )


@st.composite
def histories(draw: st.DrawFn, *, aliases: bool = True) -> list[Event]:
    """Visitors who become one user, or two, who may be one person, and calls of all; no visitor is shared."""
    events = []
    owners = {"v1": "ada", "v2": draw(st.sampled_from(("ada", "bea"))), "": draw(st.sampled_from(("ada", "bea")))}
    for number in range(draw(st.integers(4, 9))):
        visitor = draw(st.sampled_from(("v1", "v1", "v2", "")))
        kind = draw(st.sampled_from(("Viewed", "Ordered", "identify" if visitor or not aliases else "alias")))
        named = kind == "identify" or not visitor
        events.append(event(number, kind, visitor or None, owners[visitor] if named else None))
    return events


NUMBERS = st.lists(st.integers(0, 20), min_size=1, max_size=3)
DELIVER = st.tuples(st.just("deliver"), NUMBERS)
#: What happens until the engine goes back: a checkpoint, late or not at all, and calls before and after it.
ROUND = st.tuples(
    st.lists(st.one_of(DELIVER, st.just(("go_on", None))), max_size=4),
    st.sampled_from((("begin_checkpoint", None), ("lapse", None))),
    st.lists(st.one_of(DELIVER, st.just(("go_on", None))), max_size=3),
    st.sampled_from((("complete_checkpoint", None), ("lapse", None))),
    st.lists(st.one_of(DELIVER, st.just(("go_on", None))), min_size=1, max_size=4),
    st.booleans(),
).map(lambda drawn: [*drawn[0], drawn[1], *drawn[2], drawn[3], *drawn[4], ("go_back", drawn[5])])
MOVES = st.lists(ROUND, min_size=1, max_size=3).map(lambda rounds: [move for each in rounds for move in each])


def play(engine: Engine, moves: list[tuple[str, Any]], chance: Random) -> None:
    for move, how in moves:
        if move == "deliver":
            engine.deliver(how)
        elif move == "go_back":
            engine.go_back(whole=how)
        else:
            getattr(engine, move)()
    engine.finish(chance)


def check(events: list[Event], moves: list[tuple[str, Any]], seed: int = 0) -> None:
    straight = Loop(DEFINITIONS, Random(0))
    for each in events:
        straight.deliver([(route(each), each)])
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(TEXTS, f"sqlite:{Path(folder) / 'store.db'}", events)
        try:
            play(engine, moves, Random(seed))
            assert essence(engine.users, DEFINITIONS) == essence(straight.users, DEFINITIONS)
            sent = engine.sent.values()
            decided = {(send.event["n"], send.user) for send in sent}
            assert sorted(number for number, _ in decided) == [int(e.id[1:]) for e in events if e.name == "Ordered"]
            assert len({(send.event["n"], send.address) for send in sent}) == len(sent)
        finally:
            engine.close()


@settings(max_examples=examples(100))
@given(histories(), MOVES, st.integers(0, 1_000))
def test_an_engine_that_goes_back_leaves_no_trace(events: list[Event], moves: list[tuple[str, Any]], seed: int) -> None:
    check(events, moves, seed)


def test_what_follows_an_identify_comes_before_it_after_going_back() -> None:
    events = [event(0, "Viewed", "v1", None), event(1, "identify", "v1", "ada"), event(2, "Viewed", "v1", None)]
    again = ("deliver", [2]), ("deliver", [1]), ("deliver", [0])
    check(events, [("deliver", [0, 1]), ("go_back", True), *again])


def test_a_user_knows_of_an_identify_that_the_visitor_has_forgotten() -> None:
    events = [event(0, "Viewed", "v1", None), event(1, "identify", "v1", "ada"), event(2, "Viewed", "v1", None)]
    orphan = ("begin_checkpoint", None), ("deliver", [0, 1]), ("deliver", [1]), ("complete_checkpoint", None)
    check(events, [*orphan, ("go_back", True), ("deliver", [2]), ("deliver", [1]), ("deliver", [0])])


def test_a_visitor_is_sent_a_push_that_the_user_is_not_sent_again() -> None:
    events = [event(0, "Ordered", "v1", None), event(1, "identify", "v1", "ada")]
    check(events, [("deliver", [0]), ("go_back", True), ("deliver", [1]), ("deliver", [0])])


def test_a_user_who_stood_in_the_checkpoint_is_as_the_row_has_it() -> None:
    events = [event(0, "Viewed", "v1", None), event(1, "Ordered", "v1", None), event(2, "identify", "v1", "ada")]
    kept = ("deliver", [0]), ("begin_checkpoint", None), ("complete_checkpoint", None)
    for whole in (True, False):
        check(events, [*kept, ("deliver", [0]), ("go_back", whole), ("deliver", [1]), ("deliver", [0])])


def check_welcomed_once(events: list[Event], moves: list[tuple[str, Any]], seed: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(texts_of(WELCOME), f"sqlite:{Path(folder) / 'store.db'}", events)
        try:
            play(engine, moves, Random(seed))
            sent = Counter(send.address for send in engine.sent.values())
            assert not {address: times for address, times in sent.items() if times > 1}
        finally:
            engine.close()


@settings(max_examples=examples(100))
@given(histories(aliases=False), MOVES, st.integers(0, 1_000))
def test_a_user_knows_what_a_visitor_was_sent(events: list[Event], moves: list[tuple[str, Any]], seed: int) -> None:
    check_welcomed_once(events, moves, seed)


def test_a_call_is_not_passed_on_before_the_past() -> None:
    events = [event(0, "Ordered", "v1", None), event(1, "identify", "v1", "ada"), event(2, "Ordered", "v1", None)]
    for whole in (True, False):
        lost = ("deliver", [0, 1]), ("go_back", whole)
        check_welcomed_once(events, [*lost, ("deliver", [2]), ("go_on", None), ("deliver", [1]), ("deliver", [0])])


def test_the_control_topic_may_be_slow() -> None:
    events = [event(0, "Ordered", "v1", None), event(1, "identify", "v1", "ada"), event(2, "Ordered", "v1", None)]
    check_welcomed_once(events, [("deliver", [0]), ("deliver", [0]), ("deliver", [0]), ("go_on", None)])


def test_a_call_that_arrived_before_the_identify_comes_after_the_past() -> None:
    events = [event(0, "Ordered", "v1", None), event(1, "Ordered", "v1", None), event(2, "identify", "v1", "ada")]
    check_welcomed_once(events, [("deliver", [0]), ("deliver", [1]), ("deliver", [0]), ("go_on", None)])
