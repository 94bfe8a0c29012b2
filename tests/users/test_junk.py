"""Whatever a message holds, `advance` and the rows made of it never raise: decoding is the only judge."""

import json
from typing import Any

import pytest
from columns import columnar
from core import START, compile_plain, known, run_bounded
from generators import iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.decode import Refused, decode
from transforms.events.event import Event
from transforms.users.advance import fold
from transforms.users.rows import user_row
from transforms.users.user import User, Wake, decode_inputs, decode_user, encode_inputs, encode_user

Plain = dict[str, Any]

#: A path of each attribute that means something to the machine, and some that mean nothing.
NAMES = ["timezone", "email", "line_id", "locale", "plan", "tags", "at", "", "#zone", "context.locale", "ü" * 70]
NAMES += ["a", "a.b", "group", "group.id", "group.traits.plan", "__proto__", "constructor", "__class__", "id", "traits"]
VALUES = st.sampled_from(
    [
        *("", " ", "Asia/Tokyo", "Europe", "Europe/", "../x", "/etc/localtime", "a" * 300, "\x00", "\ud7ff", "🎈"),
        *(
            "0001-01-01",
            "9999-12-31",
            "2026-02-30",
            "２０２６-03-10",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59Z",
        ),
        *("1e999", "NaN", "-0", "2026-W10", "tzdata.zi", "posixrules", "u@example.com"),
        *("localtime", "right/UTC", "push", "All", "false", "{{ 7 }}", "__proto__"),
        *(0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1e308, -0.0, 5e-324, True, False, None),
    ]
)
JUNK = st.recursive(
    VALUES | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
OPERATORS: list[Plain] = [
    {"is": 1},
    {"not_in": ["a", 2, True]},
    {"exists": False},
    {"at_least": 1.5},
    {"between": ["a", "b"]},
    {"contains": "a"},
    {"matches": "^a*$"},
    {"before": "2026-03-10"},
    {"after": "0001-01-01T00:00:00Z"},
    {"within": "7d"},
    {"older_than": "1s"},
]
PATHS = [
    "timezone",
    "email",
    "plan",
    "at",
    "tags[]",
    "tags[].a.b",
    "context.locale",
    "context.location.city",
    "context.os.name",
    "group.id",
    "group.traits.plan",
    "group.traits.a.b",
]


def everything() -> Plain:
    """Each operator at each path, of traits and of properties, and a campaign that every call may trigger."""
    tests = [(path, test) for path in PATHS for test in OPERATORS]
    segments: Plain = {
        f"a{number}": {"members": {"attribute": path, **test}} for number, (path, test) in enumerate(tests)
    }
    for number, (path, test) in enumerate(tests):
        # A date alone, and an age, of a property would be judged by the clock of the question.
        if (
            not path.startswith(("context.", "group."))
            and not test.keys() & {"within", "older_than"}
            and test.get("before") is None
        ):
            segments[f"e{number}"] = {"members": {"event": "E", "where": {path: test}, "within": "1d"}}
    segments["dated"] = {"members": {"event": "E", "since": "2026-03-27"}}
    campaign = {
        "trigger": {"event": "E"},
        "steps": [{"send": ["mail", "push"]}, {"wait": "1h"}, {"id": "again", "send": "push"}],
        "reenter": "always",
        "transactional": True,
    }
    messages = {
        "push": {"channel": "push", "title": "x"},
        "mail": {"channel": "email", "subject": "x", "text": "x"},
    }
    parts = {"segments": segments, "campaigns": {"c": campaign}, "messages": messages}
    return {**parts, "policies": {"settling": "0s"}}


EVERYTHING = compile_plain(everything())

OBJECTS = st.dictionaries(st.sampled_from(NAMES), JUNK, max_size=4)
CONTEXTS = st.dictionaries(
    st.sampled_from(["device", "os", "app", "location", "locale", "timezone"]),
    JUNK | st.fixed_dictionaries({}, optional=dict.fromkeys(("token", "type", "name", "version", "city"), JUNK)),
    max_size=4,
)
CALLS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page", "group", "alias", "delete"]), "context": CONTEXTS},
    optional={
        **dict.fromkeys(("traits", "properties", "integrations"), OBJECTS),
        **{"groupId": VALUES, "userId": VALUES, "anonymousId": VALUES, "previousId": VALUES},
    },
)


def read(call: Plain, number: int, name: str = "E") -> Event:
    at = iso(START + number)
    line = {"messageId": f"m{number}", "userId": "u", "event": name, "name": name, "timestamp": at, **call}
    return decode(json.dumps(line).encode())[0]


@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=1, max_size=4))
def test_no_value_makes_the_machine_raise(calls: list[Plain]) -> None:
    events: list[Event] = []
    for number, call in enumerate(calls):
        try:
            events.append(read(call, number))
        except Refused:
            continue
    inputs = decode_inputs(encode_inputs(list(events)))
    user, _ = fold(User("u"), [*inputs, Wake(START + 10**12)], EVERYTHING)
    assert decode_user(encode_user(user)) == user
    assert json.loads(user_row(user, encode_user(user)).profile)["user"] == "u"


ATTRIBUTES = {
    name: {"members": segment["members"]}
    for name, segment in everything()["segments"].items()
    if name.startswith("a") or name == "dated"
}


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=1, max_size=4))
def test_columns_take_any_value_as_rows_do(calls: list[Plain]) -> None:
    history = []
    for number, call in enumerate(calls):
        line = {"messageId": f"m{number}", "userId": "u", "event": "E", "name": "E", "timestamp": iso(START + number)}
        line |= {name: value for name, value in call.items() if name not in ("userId", "anonymousId", "previousId")}
        if line["type"] not in ("alias", "delete"):
            history.append(line)
    events = []
    for line in history:
        try:
            events.append(decode(json.dumps(line).encode())[0])
        except Refused:
            continue
    definitions = compile_plain({"segments": ATTRIBUTES})
    users, _ = run_bounded(events, definitions, START + 100)
    assert columnar(history, definitions, START + 100) == known(users)


@pytest.mark.parametrize("value", [[], {}, ["Asia/Tokyo"], {"a": 1}, 5, True, "Europe", "\x00", "x" * 10_000, "../UTC"])
@pytest.mark.parametrize("where", ["traits", "context"])
def test_what_is_no_name_of_a_zone_is_passed_over(value: Any, where: str) -> None:
    known = read({"type": "track", "context": {"timezone": "Asia/Tokyo"}}, 0)
    junk = read({"type": "identify", where: {"timezone": value, "at": "2026-03-27"}}, 1)
    _, effects = fold(
        User("u"), [known, junk, read({"type": "track", "context": {"device": {"token": "t"}}}, 2)], EVERYTHING
    )
    zones = {effect.zone for effect in effects if hasattr(effect, "zone")}
    assert zones == {"Asia/Tokyo"}
