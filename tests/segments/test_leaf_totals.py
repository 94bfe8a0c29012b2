"""Leaves that add up: by source, so that no event counts twice; in buckets, so that what they keep is bounded."""

from functools import reduce
from zoneinfo import available_timezones

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.load import check
from transforms.events.event import Event
from transforms.events.times import read_time
from transforms.segments.evidence import SourceSums
from transforms.segments.leaf_totals import flatten
from transforms.segments.leaves import LeafState
from transforms.segments.values import DAY, HOUR, SECOND

CONDITIONS = [
    "{event: A, sum: {of: n, at_least: 4}}",
    "{event: A, sum: {of: n, at_most: 4}, within: 2h}",
    "{event: A, sum: {of: n, between: [1, 6]}, within: 2h, same: k}",
    "{event: A, average: {of: n, more_than: 1.5}, within: 1h}",
    "{event: A, sum: {of: n, is: 3}, since: 1973-01-02, same: k}",
    "{event: A, count: {between: [2, 1001]}, within: 2h}",
    "{event: A, count: {between: [2, 1001]}, same: k}",
]
conditions = pytest.mark.parametrize("condition", CONDITIONS)
START = read_time("1973-01-02T00:00:00Z")


def leaf_of(condition):
    definitions, problems = check((("l.yaml", f"segments: {{s: {{owner: o, members: {condition}}}}}"),))
    assert definitions is not None, problems.errors
    [leaf] = definitions.index.leaves.values()
    return leaf


LEAVES = {condition: leaf_of(condition) for condition in CONDITIONS}
some = settings(max_examples=examples(40))


def bought(amount, time, key="x"):
    return Event("m", "track", "A", time, time, user="u", properties={"n": amount, "k": key})


def taken(leaf, events, state=None, now=START + 9 * HOUR):
    state = state or leaf.unseen
    for number, event in enumerate(events):
        state = leaf.evaluate(state, leaf.add(state, event, number), now, "UTC")
    return state


EVENTS = st.lists(
    st.builds(
        bought,
        st.sampled_from([1, 2.5, -1, 0.1, "none"]),
        st.integers(0, 8).map(lambda n: START + n * HOUR // 2),
        st.sampled_from(["x", "y", None]),
    ),
    max_size=12,
)


@conditions
@some
@given(data=st.data())
def test_order_does_not_matter(condition, data):
    leaf, events = LEAVES[condition], data.draw(EVENTS)
    mixed = data.draw(st.permutations(events))
    assert taken(leaf, mixed) == taken(leaf, events)


@conditions
@some
@given(data=st.data())
def test_merged_users_add_up_and_each_counts_once(condition, data):
    """In any order, as often as you like, and also by way of another user."""
    leaf = LEAVES[condition]
    own, *others = [data.draw(EVENTS) for _ in range(4)]
    pasts = {f"u{number}": taken(leaf, events) for number, events in enumerate(others)}
    # The last of them had taken over the first before.
    pasts["u2"] = leaf.join(pasts["u2"], pasts["u0"], "u2", "u0")
    merges = data.draw(st.permutations([*pasts, *data.draw(st.lists(st.sampled_from([*pasts])))]))
    joined = reduce(lambda state, name: leaf.join(state, pasts[name], "me", name), merges, taken(leaf, own))
    alone = taken(leaf, [*own, *(event for events in others for event in events)])
    assert flatten(joined.evidence) == flatten(alone.evidence)
    now = data.draw(st.integers(START + 4 * HOUR, START + 9 * HOUR))
    one, other = (leaf.evaluate(state, state.evidence, now, "UTC") for state in (joined, alone))
    assert (one.truth, one.deadline) == (other.truth, other.deadline)


def test_the_newer_copy_of_a_merged_user_stands():
    leaf = leaf_of("{event: A, sum: {of: n, is: 3}}")
    before = taken(leaf, [bought(1, START)])
    after = taken(leaf, [bought(1, START), bought(2, START)])
    mine = leaf.unseen
    for copies in ([before, after], [after, before], [before, after, before]):
        joined = reduce(lambda state, copy: leaf.join(state, copy, "me", "them"), copies, mine)
        assert leaf.evaluate(joined, joined.evidence, START, "UTC").truth


def test_ones_own_past_that_comes_back_is_not_counted_again():
    leaf = leaf_of("{event: A, sum: {of: n, is: 3}}")
    mine = taken(leaf, [bought(1, START), bought(1, START)])
    theirs = leaf.join(taken(leaf, [bought(1, START)]), mine, "them", "me")
    joined = leaf.join(mine, theirs, "me", "them")
    assert leaf.evaluate(joined, joined.evidence, START, "UTC").truth


def test_a_seed_and_what_came_live_add_up_and_a_repeated_seed_does_not():
    leaf = leaf_of("{event: A, sum: {of: n, is: 3}}")
    live = taken(leaf, [bought(1, START)])
    seed = msgspec.structs.replace(taken(leaf, [bought(2, START)]), source="seed-1")
    once = leaf.join(live, seed)
    assert leaf.evaluate(once, once.evidence, START, "UTC").truth
    assert leaf.join(once, seed) == once
    # And as part of a merged user they are still two sources.
    both = leaf.join(leaf.join(leaf.unseen, once, "me", "them"), once, "me", "them")
    assert leaf.evaluate(both, both.evidence, START, "UTC").truth


@conditions
@some
@given(events=EVENTS, minutes=st.integers(0, 600))
def test_an_answer_holds_until_its_deadline_and_turns_there(condition, events, minutes):
    leaf, now = LEAVES[condition], START + 4 * HOUR + minutes * 60 * SECOND
    state = taken(leaf, events, now=now)
    until = now + 12 * HOUR if state.deadline is None else state.deadline
    assert until > now
    for moment in [now + (until - now) * part // 9 for part in range(9)] + [until - 1]:
        assert leaf.evaluate(state, state.evidence, moment, "UTC").truth is state.truth
    if state.deadline is not None and "same" not in condition:
        assert leaf.evaluate(state, state.evidence, until, "UTC").truth is not state.truth


@pytest.mark.parametrize(
    ("condition", "most"),
    [
        ("{event: A, sum: {of: n, at_least: 4}}", 100),
        ("{event: A, sum: {of: n, at_least: 4}, since: 1973-01-10}", 121 * 40),
        ("{event: A, sum: {of: n, at_least: 4}, within: 7d}", 515 * 20),
        ("{event: A, average: {of: n, at_least: 4}, within: 30s}", 32 * 20),
        ("{event: A, maximum: {of: n, at_least: 4}, within: 365d}", 515 * 20),
        ("{event: A, minimum: {of: n, at_least: 4}}", 100),
        ("{event: A, count: {at_least: 2000}, within: 7d}", 515 * 20),
        ("{event: A, count: {at_least: 20000}, same: k}", 64 * 50),
        ("{event: A, sum: {of: n, at_least: 4}, within: 1d, same: k}", 64 * 515 * 20),
        ("{event: A, distinct: {of: m, at_least: 200}, within: 7d}", 200 * 20),
    ],
)
def test_what_is_kept_of_very_many_events_is_bounded(condition, most):
    leaf = leaf_of(condition)
    state = leaf.unseen
    for number in range(2000):
        event = bought(number / 7, START + number * 1265 * SECOND, f"k{number % 71}")
        event.properties["m"] = number
        state = LeafState(False, None, leaf.add(state, event, number))
    assert len(msgspec.msgpack.encode(state)) <= most


def test_of_the_values_of_same_those_with_the_newest_events_are_kept():
    leaf = LEAVES["{event: A, count: {between: [2, 1001]}, same: k}"]
    events = [bought(1, START + number * SECOND, f"k{number}") for number in range(70)]
    begun = taken(leaf, events)
    assert not begun.truth
    oldest, newest = (taken(leaf, [bought(1, START + HOUR, key)], begun) for key in ("k0", "k69"))
    assert (oldest.truth, newest.truth) == (False, True)


def test_amounts_beyond_64_bits_are_exact_and_survive_being_written():
    leaf = leaf_of("{event: A, sum: {of: n, is: 1}}")
    for order in (
        [1e300, 2**64 - 1, 1, -1e300, -(2**63), -(2**63), 1],
        [1, 1, -1e300, -(2**63), 2**64 - 1, -(2**63), 1e300],
    ):
        state = leaf.unseen
        for number, amount in enumerate(order):
            event = bought(amount, START)
            state = LeafState(False, None, leaf.add(state, event, number))
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=LeafState)
        assert leaf.evaluate(state, state.evidence, START, "UTC").truth


EXACT = leaf_of("{event: A, count: {is: 1}, since: 2026-03-29}")
DATED = leaf_of("{event: A, sum: {of: n, is: 1}, since: 2026-03-29}")


@some
@given(st.lists(st.integers(-18 * 60, 18 * 60), max_size=8), st.sampled_from(sorted(available_timezones())))
def test_since_a_date_is_exact_in_every_zone(minutes, zone):
    """Wherever the user is, and moves to: the number of events from the start of that day on."""
    midnight = read_time("2026-03-29T00:00:00Z")
    events, now = [bought(1, midnight + minute * 60 * SECOND) for minute in minutes], midnight + 2 * DAY
    state, counted = taken(DATED, events), taken(EXACT, events)
    assert (
        DATED.evaluate(state, state.evidence, now, zone).truth
        is EXACT.evaluate(counted, counted.evidence, now, zone).truth
    )


def test_all_sources_are_one_once_they_are_flat():
    leaf = leaf_of("{event: A, sum: {of: n, is: 1}}")
    assert flatten(leaf.unseen.evidence) == ()
    joined = leaf.join(taken(leaf, [bought(1, START)]), taken(leaf, [bought(2, START)]), "me", "them")
    assert isinstance(joined.evidence, SourceSums)
    assert len(joined.evidence.tallies) == 2
    assert [tally.cells for tally in flatten(joined.evidence).tallies] == [{0: (2, 3_000_000)}]
