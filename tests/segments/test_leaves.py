"""Leaves over events that keep stamps: what they keep, that order and repetition are nothing, that joins are unions.

That their answers are right to the microsecond is held against the oracle in tests/users.
"""

import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.campaigns.load import check
from transforms.events.event import Event
from transforms.segments.evidence import Extremes, Groups
from transforms.segments.leaves import EventLeaf
from transforms.segments.values import HOUR

#: Conditions with the most stamps that each may keep.
KEPT = {
    "{event: A}": 1,
    "{event: A, within: 1h}": 1,
    "{event: A, count: {at_least: 0}}": 1,
    "{event: A, count: {at_least: 3}}": 3,
    "{event: A, count: {at_most: 0}}": 1,
    "{event: A, count: {at_most: 2}}": 3,
    "{event: A, count: {is: 2}, within: 2h}": 3,
    "{event: A, count: {more_than: 2}}": 3,
    "{event: A, count: {less_than: 2}}": 2,
    "{event: A, count: {between: [1, 4]}, since: 2026-03-10}": 5,
    "{event: A, count: {at_least: 1000}}": 1000,
    "{event: A, count: {at_most: 1000}}": 1001,
    "{event: A, first: {within: 1h}}": 1,
    "{event: A, last: {older_than: 1h}}": 1,
    "{event: A, missing: {event: B, within: 1h}}": 2,
    "{event: A, within: 3h, missing: {event: A, type: page, within: 1h}}": 2,
    "{event: any, type: page, count: {at_least: 4}}": 4,
    "{event: A, distinct: {of: n, at_least: 3}, within: 2h}": 3,
    "{event: A, distinct: {of: n, is: 0}}": 1,
    "{event: A, distinct: {of: n, at_most: 10000}}": 1,
    "{event: A, minimum: {of: n, is: 5}}": 1,
    "{event: A, maximum: {of: n, is: 5}, within: 2h}": 2,
    "{event: A, same: n, count: {at_least: 2}}": 128,
    "{event: A, same: 'm', count: {at_least: 1000}}": 2000,
    "{event: A, missing: {event: B, same: 'm', within: 1h}}": 4,
    "{sequence: [{event: A}, {event: B, within: 1h}, {event: any}], within: 2h}": 768,
}


def leaf_of(condition):
    text = f"segments: {{s: {{owner: o, members: {condition}}}}}"
    definitions, problems = check((("l.yaml", text),))
    assert definitions is not None, problems.errors
    [leaf] = definitions.index.leaves.values()
    assert isinstance(leaf, EventLeaf)
    return leaf


LEAVES = {condition: leaf_of(condition) for condition in KEPT}
conditions = pytest.mark.parametrize("condition", KEPT)


def event(name, time, number=0, type_="track", arrival=None):
    properties = {"n": number // 4, "m": number // 2 % 2}
    return Event(f"m{number}", type_, name, time, time if arrival is None else arrival, user="u", properties=properties)


def size(evidence):
    if isinstance(evidence, Groups):
        return sum(map(len, evidence.stamps.values()))
    return len(evidence.cells if isinstance(evidence, Extremes) else evidence)


#: Events that often share a time, or everything but the hash of the message id.
EVENTS = st.lists(
    st.tuples(
        st.builds(
            event,
            st.sampled_from("AAB"),
            st.integers(0, 6).map(lambda n: n * HOUR),
            st.integers(0, 8),
            type_=st.sampled_from(["track", "page"]),
        ),
        st.integers(0, 3),
    ),
    max_size=20,
)


def taken(leaf, events, state=None):
    state = state or leaf.unseen
    for item, message_hash in events:
        state = leaf.evaluate(state, leaf.add(state, item, message_hash), item.time, "UTC")
    return state


@conditions
def test_it_keeps_no_more_than_it_needs(condition):
    leaf = LEAVES[condition]
    many = [(event("AB"[n % 2], n * HOUR, n, ["track", "page"][n // 2 % 2]), n) for n in range(4100)]
    assert size(taken(leaf, many).evidence) == KEPT[condition]


@conditions
@given(data=st.data())
def test_order_and_repetition_do_not_matter(condition, data):
    leaf, events = LEAVES[condition], data.draw(EVENTS)
    mixed = data.draw(st.permutations(events + events[:3]))
    assert taken(leaf, mixed).evidence == taken(leaf, events).evidence


@conditions
@given(one=EVENTS, two=EVENTS, three=EVENTS)
def test_joins_are_unions(condition, one, two, three):
    leaf = LEAVES[condition]
    states = [taken(leaf, events) for events in (one, two, three)]
    a, b, c = states

    def join(left, right):
        return leaf.evaluate(left, leaf.join(left, right).evidence, 0, "UTC")

    assert join(a, b).evidence == join(b, a).evidence
    assert join(join(a, b), c).evidence == join(a, join(b, c)).evidence
    assert join(a, a).evidence == a.evidence == join(a, leaf.unseen).evidence
    assert reduce(join, states).evidence == taken(leaf, one + two + three).evidence


@conditions
@given(events=EVENTS, now=st.integers(0, 12 * HOUR))
def test_an_answer_holds_until_its_deadline(condition, events, now):
    leaf = LEAVES[condition]
    state = leaf.evaluate(leaf.unseen, taken(leaf, events).evidence, now, "UTC")
    until = now + 12 * HOUR if state.deadline is None else state.deadline
    assert until > now
    later = [now + (until - now) * part // 7 for part in range(7)] + [until - 1]
    assert {leaf.evaluate(state, state.evidence, moment, "UTC").truth for moment in later} == {state.truth}


@conditions
def test_what_is_not_asked_about_leaves_the_very_same_evidence(condition):
    leaf = LEAVES[condition]
    state = taken(leaf, [(event("A", HOUR, 1), 1), (event("B", HOUR, 2, "page"), 2)])
    if "any" not in leaf.names:
        assert leaf.add(state, event("C", 2 * HOUR), 3) is state.evidence
    assert leaf.add(state, event("A", 2 * HOUR, type_="identify"), 4) is state.evidence


def test_before_its_activation_nothing_counts_by_arrival():
    leaf = LEAVES["{event: A, count: {at_least: 3}}"]
    state = leaf.unseen.__class__(False, activation=5 * HOUR)
    assert leaf.add(state, event("A", 9 * HOUR, arrival=5 * HOUR - 1), 1) == ()
    assert leaf.add(state, event("A", HOUR, arrival=5 * HOUR), 1) == ((HOUR, 1),)


def test_a_repetition_at_the_end_of_the_stamps_is_not_kept_twice():
    leaf = LEAVES["{event: A, count: {at_least: 3}}"]
    events = [(event("A", n * HOUR), n) for n in (5, 4, 3, 2, 4, 3, 2, 5)]
    assert taken(leaf, events).evidence == tuple((n * HOUR, n) for n in (5, 4, 3))


def test_stamps_survive_being_written_as_json():
    """What a user's row holds."""
    leaf = LEAVES["{event: A, count: {at_least: 3}}"]
    stamps = taken(leaf, [(event("A", n), 2**64 - 1 - n) for n in range(5)]).evidence
    assert tuple(map(tuple, json.loads(json.dumps(stamps)))) == stamps
