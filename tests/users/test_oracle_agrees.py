"""Invariants 2 to 6 of the core, held against the naive oracle on random definitions and histories."""

import json
from typing import Any

from generators import definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships

from transforms.campaigns.load import Definitions, check
from transforms.events.decode import decode
from transforms.events.event import Event
from transforms.users.advance import fold
from transforms.users.user import ANONYMOUS, Effect, Forward, Input, User, Wake, route

Plain = dict[str, Any]
slow = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def compile_plain(plain: Plain) -> Definitions:
    owned = {name: {"owner": "test", **body} for name, body in plain["segments"].items()}
    compiled, problems = check((("random.yaml", json.dumps({**plain, "segments": owned})),))
    assert compiled is not None, [str(problem) for problem in problems.errors]
    return compiled


def decode_all(history: list[Plain]) -> list[Event]:
    return [decode(json.dumps(call).encode())[0] for call in history]


def run_bounded(events: list[Event], definitions: Definitions, as_of: int) -> tuple[dict[str, User], list[Effect]]:
    """What the bounded shell does, without Beam: group, sort by (arrival, id), fold, settle."""
    inputs: dict[str, list[Input]] = {}
    for event in events:
        if event.arrival <= as_of:
            inputs.setdefault(route(event), []).append(event)
    users: dict[str, User] = {}
    effects: list[Effect] = []
    for anonymous in (True, False):
        for key in [key for key in inputs if key.startswith(ANONYMOUS) is anonymous]:
            ordered = sorted(inputs[key], key=lambda item: (item.arrival, item.id))
            users[key], found = fold(User(key), [*ordered, Wake(as_of)], definitions)
            effects += found
            for forward in found:
                if isinstance(forward, Forward):
                    inputs.setdefault(forward.user, []).append(forward.input)
    return users, effects


def known(users: dict[str, User]) -> dict[str, set[str]]:
    return {key: set(user.members) for key, user in users.items() if user.created is not None and user.owner is None}


@slow
@given(st.data())
def test_memberships_at_any_time_are_the_oracles(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    times = data.draw(st.lists(st.sampled_from(instants(plain, history)), min_size=1, max_size=8, unique=True))
    events, compiled = decode_all(history), compile_plain(plain)
    for as_of in times:
        users, _ = run_bounded(events, compiled, as_of)
        assert known(users) == memberships(plain, history, as_of)
