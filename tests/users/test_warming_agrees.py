"""Who lived through a change of definitions ends as if the new ones had been there from the beginning, once seeded."""

from typing import Any

import msgspec
from core import (
    DAY,
    HOUR,
    MINUTE,
    added,
    compile_plain,
    decode_all,
    known,
    of_type,
    run_bounded,
    states_of,
    within_horizon,
)
from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from releases import publish, release_of, seeds_for
from strength import examples

from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.release import Release
from transforms.events.event import Event
from transforms.segments.leaves import EventLeaf
from transforms.users.advance import fold
from transforms.users.effects import Forward
from transforms.users.user import ANONYMOUS, Input, Seed, User, Wake, decode_user, encode_user, route

Plain = dict[str, Any]

slow = settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def changes(draw: st.DrawFn) -> tuple[Plain, Plain]:
    """Definitions before and after: some segments stay, some are changed, added or dropped."""
    old, other = draw(definitions()), draw(definitions())
    segments = {}
    for name in {**old["segments"], **other["segments"]}:
        one_of = [plain["segments"][name] for plain in (old, other) if name in plain["segments"]]
        segments[name] = draw(st.sampled_from(one_of))
    return old, {**old, "segments": segments}


class Change(msgspec.Struct):
    """A history, and the publication that comes in the midst of it."""

    history: list[Plain]
    events: list[Event]
    old: Release
    new: Release
    plain: Plain
    published: int
    activation: int
    as_of: int

    @property
    def definitions(self) -> Definitions:
        return compiled(self.new)

    @property
    def before(self) -> dict[str, User]:
        """The users as the old definitions leave them."""
        lived = [event for event in self.events if event.arrival < self.published]
        users, _ = run_bounded(lived, compiled(self.old), self.published - 1)
        return users

    @property
    def seeds(self) -> dict[str, Seed]:
        return seeds_for(self.events, self.plain, self.new, self.activation)


@st.composite
def lived(draw: st.DrawFn) -> Change:
    history = draw(histories())
    old, new = draw(changes())
    # Each message as it came first: what a copy says of its own arrival is no part of this.
    first = {event.id: event for event in sorted(decode_all(history), key=lambda each: each.arrival, reverse=True)}
    events = list(first.values())
    arrivals = sorted({event.arrival for event in events})
    published = draw(st.sampled_from(arrivals)) + draw(st.sampled_from([0, 1]))
    activation = published + draw(st.sampled_from([MINUTE, 2 * MINUTE, HOUR, DAY]))
    latest = max(activation, arrivals[-1])
    as_of = draw(st.sampled_from([at for at in instants(new, history) if at >= latest] or [latest]))
    first_release = release_of(old)
    if compile_plain(old).definitions_hash == compile_plain(new).definitions_hash:
        second = first_release
    else:
        second = publish(first_release, new, published, activation)
    return Change(history, events, first_release, second, new, published, activation, as_of)


def evidence_of(user: User, definitions: Definitions) -> dict[int, Any]:
    """The leaves on events that the newest definitions ask, without how they came by their evidence and amounts."""
    own = definitions.event_leaves
    unseen = {key: leaf.unseen for key, leaf in definitions.index.leaves.items() if isinstance(leaf, EventLeaf)}
    plain = {
        key: (state.truth, state.deadline, added(state.evidence))
        for key, state in states_of(user).items()
        if key in own
    }
    return {
        key: state
        for key, state in plain.items()
        if state != (unseen[key].truth, unseen[key].deadline, unseen[key].evidence)
    }


def seasoned(data: st.DataObject, inputs: list[Input]) -> list[Input]:
    """As a live job may see them: in any order, some again where they are known again."""
    again = data.draw(st.lists(st.sampled_from(inputs), max_size=3)) if within_horizon(inputs) else []
    return data.draw(st.permutations(inputs + again))


@slow
@given(lived(), st.data())
def test_seeds_and_events_in_any_order_end_as_the_whole_history_does(change: Change, data: st.DataObject) -> None:
    """Of users without anonymous ids: each is one key."""
    change.events = [
        msgspec.structs.replace(event, user=event.user or f"user {event.anonymous}", anonymous=None)
        for event in change.events
        if event.type != "alias"
    ]
    expected, _ = run_bounded(change.events, compile_plain(change.plain), change.as_of)
    users, seeds = change.before, change.seeds
    for name in {str(event.user) for event in change.events}:
        later: list[Input] = [e for e in change.events if e.user == name and e.arrival >= change.published]
        later += [seeds[name]] if name in seeds else []
        user = users.get(name, User(name))
        inputs = seasoned(data, later) if later else []
        if inputs and name not in users:  # who is in a seed is known by then: a backfill begins after the activation
            inputs.insert(0, inputs.pop(next(at for at, item in enumerate(inputs) if isinstance(item, Event))))
        for item in [*inputs, Wake(change.as_of)]:
            user, _ = fold(decode_user(encode_user(user)), [item], change.definitions)
        assert user.warming == frozenset()
        assert set(user.members) == set(expected[name].members)
        assert evidence_of(user, change.definitions) == evidence_of(expected[name], change.definitions)


@slow
@given(lived(), st.data())
def test_seeds_of_visitors_reach_the_users_whom_they_became(change: Change, data: st.DataObject) -> None:
    """In the order of arrival; seeds come at any time after the activation, some twice."""
    users, seeds, definitions = change.before, change.seeds, change.definitions
    inputs: dict[str, list[Input]] = {name: [] for name in users}
    for event in sorted(change.events, key=lambda each: (each.arrival, each.id)):
        if event.arrival >= change.published:
            inputs.setdefault(route(event), []).append(event)
    for anonymous in (True, False):
        for name in [name for name in inputs if name.startswith(ANONYMOUS) is anonymous]:
            late = [item for item in inputs[name] if isinstance(item, Seed)]
            ordered: list[Input] = [item for item in inputs[name] if not isinstance(item, Seed)]
            ordered.sort(key=lambda item: (item.arrival, item.id))
            first = sum(item.arrival < change.activation for item in ordered)
            for _ in range(data.draw(st.sampled_from([1, 1, 2])) if name in seeds else 0):
                ordered.insert(data.draw(st.integers(first, len(ordered))), seeds[name])
            users[name], effects = fold(users.get(name, User(name)), [*ordered, *late, Wake(change.as_of)], definitions)
            for forward in of_type(Forward, effects):
                inputs.setdefault(forward.user, []).append(forward.input)
    assert not any(user.warming for user in users.values() if user.owner is None)
    assert known(users) == memberships(change.plain, change.history, change.as_of)
