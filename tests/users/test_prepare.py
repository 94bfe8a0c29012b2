"""Preparing: whose events are in the end, repetitions, deletions and merges as in the state machine; accounts."""

import json
from pathlib import Path
from typing import Any

import pytest
from columns import columnar, prepared
from core import compile_plain, decode_all, known, of_type
from generators import START, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.segments.columns.layout import Needs, NotColumnar, needs_of, open_prepared
from transforms.segments.columns.memberships import memberships
from transforms.segments.conditions import EventFilter, FirstLast
from transforms.users.advance import fold
from transforms.users.effects import Forward
from transforms.users.prepare.prepare import prepare
from transforms.users.user import Input, User, Wake, route

Plain = dict[str, Any]

HOUR = 3_600_000_000
COUNTS = compile_plain(
    {
        "segments": {f"n{n}": {"members": {"event": "A", "count": {"is": n}}} for n in range(8)}
        | {"pro": {"members": {"attribute": "plan", "is": "pro"}}}
    }
)


def call(type_: str, at: int, id_: str, **fields: Any) -> Plain:
    return {"type": type_, "messageId": id_, "timestamp": iso(START + at), "arrival": iso(START + at), **fields}


USERS, VISITORS = st.sampled_from(["u", "v", "w"]), st.sampled_from(["x", "y"])


@st.composite
def stories(draw: st.DrawFn) -> list[Plain]:
    """Users who are deleted, merged by alias (never in a circle), and identified from shared devices."""
    story = []
    for number in range(draw(st.integers(1, 14))):
        at, id_ = draw(st.integers(0, 12)) * HOUR, f"m{number:02}"
        match draw(st.sampled_from(["track"] * 4 + ["visit"] * 3 + ["identify"] * 3 + ["delete", "alias"])):
            case "track":
                story.append(call("track", at, id_, userId=draw(USERS), event="A"))
            case "visit":
                story.append(call("track", at, id_, anonymousId=draw(VISITORS), event="A"))
            case "identify":
                traits = {"plan": draw(st.sampled_from(["pro", "free", None]))}
                story.append(call("identify", at, id_, userId=draw(USERS), anonymousId=draw(VISITORS), traits=traits))
            case "delete":
                story.append(call("delete", at, id_, userId=draw(USERS)))
            case "alias":
                one, other = sorted(draw(st.permutations(["u", "v", "w"]))[:2])
                story.append(call("alias", at, id_, userId=one, previousId=other))
    if draw(st.booleans()):
        late = draw(st.sampled_from(story))
        story.append(late | {"arrival": iso(START + 13 * HOUR), "messageId": f"{late['messageId']}-late"})
    return story


def run_with_control(story: list[Plain], as_of: int) -> dict[str, User]:
    """What a bounded run with a store does: what goes from user to user is applied after the files."""
    users: dict[str, User] = {}
    waiting: dict[str, list[Input]] = {}
    for event in decode_all(story):
        waiting.setdefault(route(event), []).append(event)
    for key in sorted(key for key in waiting if key.startswith("~")):
        for forward in turn(users, key, waiting.pop(key)):
            waiting.setdefault(forward.user, []).append(forward.input)
    while waiting:
        forwards = [forward for key, inputs in waiting.items() for forward in turn(users, key, inputs)]
        waiting = {}
        for forward in forwards:
            waiting.setdefault(forward.user, []).append(forward.input)
    return {key: fold(user, [Wake(as_of)], COUNTS)[0] for key, user in users.items()}


def turn(users: dict[str, User], key: str, inputs: list[Input]) -> list[Forward]:
    ordered = sorted(inputs, key=lambda item: (item.arrival, item.id))
    users[key], effects = fold(users.get(key, User(key)), ordered, COUNTS)
    return of_type(Forward, effects)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_deleted_and_merged_users_are_those_of_the_state_machine(story: list[Plain]) -> None:
    as_of = START + 14 * HOUR
    assert columnar(story, COUNTS, as_of) == known(run_with_control(story, as_of))


def test_every_message_ends_as_one_thing(tmp_path: Path) -> None:
    lines = [
        json.dumps(message).encode()
        for message in (
            call("track", HOUR, "m1", userId="u", event="A"),
            call("track", HOUR, "m1", userId="u", event="A"),
            call("track", HOUR, "m2", userId="null", event="A"),
            call("track", 9 * HOUR, "m3", userId="u", event="A"),
            call("delete", 2 * HOUR, "m4", userId="v"),
            call("track", 3 * HOUR, "m5", userId="v", event="A", timestamp=iso(START + HOUR)),
            call("track", 3 * HOUR, "m9", userId="v", event="A"),
            call("track", 3 * HOUR, "m9", userId="v", event="A"),
            call("track", HOUR, "m6", event="Sale Began"),
            call("track", HOUR, "m7", event="A"),
            call("track", 9 * HOUR, "m8", event="Sale Began"),
        )
    ]
    messages = [*lines, b"", b"not json"]
    announced = "Sale Began".__eq__
    done = prepare(messages, needs_of([]), tmp_path / "prepared", until=START + 4 * HOUR, announced=announced)
    ended = {"applied": 4, "duplicate": 2, "deleted": 1, "dead_letter": 3, "later": 2}
    assert done.accounts == {"read": 12, **ended}


def test_a_folder_for_other_definitions_is_refused_by_what_is_missing(tmp_path: Path) -> None:
    asked = compile_plain({"segments": {"s": {"members": {"event": "A", "where": {"price": {"is": 1}}}}}})
    prepare([], Needs({"A": ("size",)}, {}), tmp_path)
    conditions = {name: segment.members for name, segment in asked.segments.items()}
    with pytest.raises(ValueError, match=r"without event A \(price\): prepare anew"):
        list(memberships(conditions, open_prepared(tmp_path), START))


def test_what_is_in_no_file_is_refused_by_name() -> None:
    with pytest.raises(NotColumnar, match="Session Ended"):
        needs_of([FirstLast(EventFilter("Session Ended"), last=True, older=False, age=HOUR)])


def test_a_prepared_folder_is_read_again(tmp_path: Path) -> None:
    story = [call("track", number * HOUR, f"m{number}", userId=f"u{number % 3}", event="A") for number in range(9)]
    written = prepared(story, COUNTS, tmp_path, START + 4 * HOUR).prepared
    assert open_prepared(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("spill")] == []
