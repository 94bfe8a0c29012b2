"""Previews and explanations go on past what raises for one user, and count it."""

import json
from pathlib import Path
from typing import Any

import pytest
from core import DAY, HOUR, START, compile_plain
from generators import iso
from shells import track

from transforms.channels.preview import preview_campaign
from transforms.segments import leaves
from transforms.segments.conditions import Count
from transforms.segments.evidence import Kind
from transforms.users.advance import fold
from transforms.users.boundary import Failed
from transforms.users.explain import ConditionTree, replay, settled
from transforms.users.histories import Histories
from transforms.users.preview import preview_segment
from transforms.users.user import User

PLAIN: dict[str, Any] = {
    "segments": {"here": {"members": {"any": [{"event": "Sound"}, {"event": "Fragile", "within": "1h"}]}}},
    "campaigns": {
        "greet": {"trigger": {"event": "Sound"}, "steps": [{"send": "push"}], "consent": "offers", "reenter": "never"}
    },
    "messages": {"push": {"channel": "push", "title": "Hello"}},
}


class Poisoned(Exception):
    pass


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts fail by an event with `poison` in it, and those of `Fragile` by time."""
    sound = leaves._KINDS[Count]

    def compile_count(condition: Any) -> Kind:
        kind = sound(condition)

        def add(evidence: Any, stamp: Any, tag: int, properties: dict[str, Any]) -> Any:
            if "poison" in properties:
                raise Poisoned("bad luck")
            return kind.add(evidence, stamp, tag, properties)

        def evaluate(evidence: Any, now: int, zone: str) -> Any:
            truth, deadline = kind.evaluate(evidence, now, zone)
            if evidence and not truth and condition.events.name == "Fragile":
                raise Poisoned("bad time")
            return truth, deadline

        return Kind(add, kind.join, evaluate)

    monkeypatch.setitem(leaves._KINDS, Count, compile_count)


def call(user: str, name: str, at: int, **more: Any) -> bytes:
    said = {"type": "track", "event": name, "userId": user, "messageId": f"{user} {name} {at}"}
    return json.dumps({**said, "timestamp": iso(START + at), **more}).encode()


def read(folder: Path) -> Histories:
    found = Histories(folder)
    calls = [call(user, "Sound", hour * HOUR) for user in ("u1", "u2", "v1") for hour in (0, 3)]
    calls.append(call("u1", "Sound", HOUR, properties={"poison": 1}))
    calls.append(call("u2", "Fragile", HOUR))
    # One of those who are merged: their histories are folded again and again.
    calls.append(call("v1", "Sound", HOUR, properties={"poison": 1}))
    calls.append(call("v2", "Sound", HOUR))
    alias = {"type": "alias", "previousId": "v1", "userId": "v2", "messageId": "a", "timestamp": iso(START + 2 * HOUR)}
    found.read([*calls, json.dumps(alias).encode()], START + DAY)
    assert found.accounts == {"read": 11, "dead_letters": 0, "later": 0}
    return found


def test_a_preview_of_a_segment_goes_on(poison: None, tmp_path: Path) -> None:
    histories = read(tmp_path)
    found = preview_segment("here", histories, compile_plain(PLAIN), START + DAY)
    assert (found.members, found.users, {each.user for each in found.sample}) == (3, 3, {"u1", "u2", "v2"})
    assert histories.failed.inputs == {(user, f"{user} Sound {HOUR}") for user in ("u1", "v1")}
    assert {(key, what) for key, what, _ in histories.failed.dropped} == {("u2", "leaf")}
    assert histories.failed.first == 'a leaf of "u2"'


def test_a_preview_of_a_campaign_goes_on(poison: None, tmp_path: Path) -> None:
    histories = read(tmp_path)
    found = preview_campaign("greet", histories, compile_plain(PLAIN), START + DAY)
    assert {each.user for each in found.sample} >= {"u1", "u2"}
    assert {key for key, _ in histories.failed.inputs} == {"u1", "v1"}
    assert histories.failed.first


def test_time_that_raises_passes_for_who_is_explained(poison: None, tmp_path: Path) -> None:
    definitions = compile_plain(PLAIN)
    user, _ = fold(User("u2"), [track("Sound", 0, "s"), track("Fragile", 1, "f")], definitions)
    failed = Failed()
    later = settled(user, START + DAY, definitions, failed)
    assert (later.clock, set(later.members), len(failed.dropped)) == (START + DAY, {"here"}, 1)
    tree = ConditionTree("here", definitions)
    assert tree.explain(user).holds, "also where a change is looked for that time brings"
    again, _ = replay(tree, "u2", [track("Sound", 0, "s"), track("Fragile", 1, "f")], START + DAY)
    assert (again.clock, set(again.members)) == (START + DAY, {"here"})
    assert len(tree.failed.dropped) == 1
