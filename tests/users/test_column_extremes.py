"""Columns where numbers are too large for a column, and where there are more values or events than are looked at."""

from typing import Any

from columns import columnar, evidence_of
from core import HOUR, added, compile_plain, decode_all, known, run_bounded, states_of
from generators import START, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples

Plain = dict[str, Any]

slow = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))

#: Integers that a double cannot hold, doubles whose millionths need more than 64 bits, and halves of a millionth.
NUMBERS = [0, 1, -1, 2.5, -0.0, 0.1, 0.2, 5e-7, 1.5e-6, -2.5e-6, 9e12, 9.1e12, -1e18, 1e300, 2**53, 2**53 + 1, -(2**63)]
NUMBERS += [2**63, 2**64 - 1, float(2**53), float(2**63), 9007199254.740993, 123456789.123456789]
BOUNDS = st.sampled_from([0, 1, 0.3, -1, 2.5, 2**53, 2**53 + 1, 9e12, 1e300])
OPERATORS = st.sampled_from(["is", "at_least", "at_most", "more_than", "less_than"])
WINDOWS = st.sampled_from([{}, {"within": "1s"}, {"within": "1h"}, {"within": "1000s"}, {"since": "2026-03-27"}])


def call(number: int, at: int, user: str, **properties: Any) -> Plain:
    time = iso(START + at)
    said = {"event": "A", "properties": properties, "timestamp": time, "arrival": time}
    return {"type": "track", "userId": user, "messageId": f"m{number:05}", **said}


@st.composite
def totals(draw: st.DrawFn) -> Plain:
    aggregate = draw(st.sampled_from(["sum", "average", "minimum", "maximum"]))
    asked = {"of": draw(st.sampled_from(["n", "n[]"])), draw(OPERATORS): draw(BOUNDS)}
    same = {"same": "kind"} if aggregate == "sum" and draw(st.booleans()) else {}
    return {"event": "A", aggregate: asked, **draw(WINDOWS), **same}


VALUES = st.sampled_from(NUMBERS) | st.lists(st.sampled_from(NUMBERS), max_size=3)
CALLS = st.lists(
    st.tuples(st.integers(0, 3 * HOUR), st.sampled_from("uv"), VALUES, st.sampled_from([1, 1.0, True, "a"]))
)


@slow
@given(CALLS, st.lists(totals(), min_size=1, max_size=4), st.integers(0, 5 * HOUR))
def test_numbers_that_no_column_can_hold(calls: list[Any], conditions: list[Plain], later: int) -> None:
    history = [call(number, at, user, n=n, kind=kind) for number, (at, user, n, kind) in enumerate(calls)]
    agree(history, {f"s{number}": condition for number, condition in enumerate(conditions)}, START + later)


def test_each_number_alone_and_with_itself() -> None:
    history = [
        call(10 * number + again, again, f"u{number} {again}", n=[n] * again)
        for number, n in enumerate(NUMBERS)
        for again in (1, 3)
    ]
    conditions = {
        f"{aggregate} {operator} {bound}": {"event": "A", aggregate: {"of": "n[]", operator: bound}}
        for aggregate in ("sum", "average", "minimum", "maximum")
        for operator, bound in (("at_least", 2e-6), ("is", 9e12), ("is", 0.1), ("at_most", 2**53), ("less_than", 1e300))
    }
    agree(history, {f"s{number}": each for number, each in enumerate(conditions.values())}, START + HOUR)


@slow
@given(st.randoms(use_true_random=False), st.integers(1, 90), st.integers(0, 80))
def test_more_values_than_are_looked_at(chance: Any, values: int, count: int) -> None:
    """In the order of time rows forget no value that comes again: each comes in one stretch."""
    history = []
    for value in range(values):
        for _ in range(chance.randint(1, 3)):
            history.append(call(len(history), len(history), "u", kind=value, n=chance.choice(NUMBERS)))
    conditions: dict[str, Plain] = {
        "counted": {"event": "A", "same": "kind", "count": {"is": 3}, "within": "1h"},
        "rich": {"event": "A", "same": "kind", "sum": {"of": "n", "more_than": 9}},
        "different": {"event": "A", "distinct": {"of": "kind", "at_least": count}},
        "unanswered": {"event": "A", "missing": {"event": "B", "same": "kind", "within": "1s"}},
    }
    agree(history, conditions, START + HOUR)


def test_more_events_of_a_step_than_are_looked_at() -> None:
    """The only A stands before the newest 256 of the other, and the only C before them, too."""
    history = [call(0, 0, "u"), {**call(1, 1, "u"), "event": "C"}]
    history += [{**call(2 + number, 2 + number, "u"), "event": "B"} for number in range(300)]
    history += [call(400, 400, "u")]
    conditions: dict[str, Plain] = {
        "a_b": {"sequence": [{"event": "A"}, {"event": "B"}]},
        "near": {"sequence": [{"event": "A"}, {"event": "B", "within": "1s"}]},
        "twice": {"sequence": [{"event": "B"}, {"event": "B"}, {"event": "A"}], "within": "1s"},
        "turned": {"sequence": [{"event": "B"}, {"event": "C"}]},
        "any": {"sequence": [{"event": "any"}, {"event": "C"}]},
        "alone": {"sequence": [{"event": "C"}, {"event": "C"}]},
    }
    agree(history, conditions, START + 401)
    agree(history, conditions, START + 1_000_000)


def agree(history: list[Plain], conditions: dict[str, Plain], as_of: int) -> None:
    """Columns say what the oracle and rows say, and keep what rows keep."""
    plain = {"segments": {name: {"name": name, "owner": "x", "members": each} for name, each in conditions.items()}}
    compiled = compile_plain(plain)
    found = columnar(history, compiled, as_of)
    users, _ = run_bounded(decode_all(history), compiled, as_of)
    assert found == known(users)
    assert found == memberships(plain, history, as_of)
    evidence = {
        name: {key: added(state.evidence) for key, state in states_of(users[name]).items() if state.evidence}
        for name in found
    }
    kept = evidence_of(history, compiled, as_of)
    assert {name: {key: added(each) for key, each in mine.items()} for name, mine in kept.items()} == evidence
