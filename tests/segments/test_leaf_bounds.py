"""What one leaf keeps of one user's very long history, in bytes. `make test-long` gives each user a million events."""

from itertools import cycle

import msgspec
import pytest
from core import Story, compile_plain
from hypothesis import settings
from strength import CI

from transforms.campaigns.load import check
from transforms.events.event import Event
from transforms.segments.leaves import EventLeaf
from transforms.segments.values import SECOND

#: A time and a hash, or a bucket and its sums, with what goes round them.
MARK, CELL = 19, 24
#: A leaf's record, and the head of a tally or of a group of stamps.
RECORD, GROUP = 64, 64
#: How many events each user has.
EVENTS = 1_000_000 if settings().max_examples > CI else 3_000
START = 1_772_323_200_000_000

BOUNDS = {
    "{event: A, count: {at_most: 1000}}": 1001 * MARK,
    "{event: A, count: {at_most: 1000}, within: 30d}": 1001 * MARK,
    "{event: A, count: {at_most: 100}, same: few}": 64 * (GROUP + 101 * MARK),
    "{event: A, count: {at_least: 20000}, within: 7d}": GROUP + 514 * CELL,
    "{event: A, count: {at_least: 20000}, within: 7d, same: few}": 64 * (GROUP + 514 * CELL),
    "{event: A, distinct: {of: many, at_least: 2000}, within: 7d}": 2000 * MARK,
    "{event: A, first: {older_than: 7d}}": MARK,
    "{event: A, last: {within: 7d}}": MARK,
    "{event: A, missing: {event: B, within: 1h}}": 2 * MARK,
    "{event: A, missing: {event: B, within: 1h, same: few}}": 64 * (GROUP + 2 * MARK),
    "{sequence: [{event: A}, {event: B, within: 1h}, {event: A}], within: 2h}": 3 * (GROUP + 256 * MARK),
    "{event: A, sum: {of: amount, at_least: 4}}": GROUP + CELL,
    "{event: A, sum: {of: amount, at_least: 4}, since: 2026-03-10}": GROUP + 121 * CELL,
    "{event: A, sum: {of: amount, at_least: 4}, within: 7d, same: few}": 64 * (GROUP + 514 * CELL),
    "{event: A, minimum: {of: amount, at_least: 4}, within: 7d}": GROUP + 514 * CELL,
    "{event: A, maximum: {of: amount, at_least: 4}}": GROUP + CELL,
}


@pytest.mark.parametrize("condition", BOUNDS)
def test_what_is_kept_does_not_follow_how_much_there_was(condition: str) -> None:
    definitions, problems = check((("l.yaml", f"segments: {{s: {{owner: o, members: {condition}}}}}"),))
    assert definitions is not None, problems.errors
    (leaf,) = definitions.index.leaves.values()
    assert isinstance(leaf, EventLeaf)
    state, most = leaf.unseen, 0
    for number, name in zip(range(EVENTS), cycle("AAB")):
        time = START + number * 977 * SECOND
        properties = {"amount": number / 7, "few": f"k{number % 71}", "many": number}
        event = Event("m", "track", name, time, time, "u", properties=properties)
        state = msgspec.structs.replace(state, evidence=leaf.add(state, event, number * 2**40 % 2**64))
        if number % 500 == 499:
            most = max(most, len(msgspec.msgpack.encode(state)))
    assert RECORD // 4 < most <= RECORD + BOUNDS[condition]


def twice_of_one_value(values: list[int]) -> bool:
    """Whether somebody who did it once with each of these, one after another, did it twice with one of them."""
    story = Story(
        compile_plain({"segments": {"s": {"members": {"event": "A", "same": "v", "count": {"at_least": 2}}}}})
    )
    for at, value in enumerate(values):
        story.track("A", at, {"v": value})
    return "s" in story.user.members


def test_of_same_the_64_values_with_the_newest_events_are_known() -> None:
    assert twice_of_one_value([*range(64), 0])
    assert not twice_of_one_value([*range(65), 0])
    assert twice_of_one_value([*range(65), 1])
    assert not twice_of_one_value([*range(65), 0, 1])
