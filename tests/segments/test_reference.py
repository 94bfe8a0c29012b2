"""The examples of docs/reference/conditions.md are run: who is a member from when to when, to the microsecond.

An example is a condition (or whole definitions, of which the last segment is asked) in YAML, the events of one user,
and when they are a member.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from columns import columnar
from core import compile_plain, decode_all, of_type, run_bounded
from jsonschema import Draft202012Validator

from transforms.campaigns.load import Definitions
from transforms.campaigns.schema import definitions_schema
from transforms.events.event import Event
from transforms.events.times import read_time, write_time
from transforms.segments.conditions import ANY
from transforms.segments.document import Problems, read_documents
from transforms.segments.grammar import FORMS
from transforms.segments.grammar_events import AGGREGATES, AMOUNTS, COMPARISONS, EVENT_TYPES
from transforms.segments.operators import OPERATORS
from transforms.users.effects import SegmentEntered, SegmentLeft

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "conditions.md"
PART = re.compile(
    r"^#+ (?P<heading>[^\n]*)$|^```(?P<kind>yaml|events|members)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
EVENT = re.compile(
    r"(?P<time>\S+) +(?P<visitor>~ )?(?P<type>(?:page|screen|identify)\b)? ?(?P<name>[^{]*)(?P<fields>.*)"
)
#: How long after the last time of an example nothing more may happen.
QUIET = timedelta(days=60) // timedelta(microseconds=1)

Span = tuple[int, int | None]


class Example(NamedTuple):
    name: str
    plain: dict[str, Any]
    calls: list[dict[str, Any]]
    spans: list[Span]

    @property
    def events(self) -> list[Event]:
        return decode_all(self.calls)

    @property
    def definitions(self) -> Definitions:
        plain = self.plain if "segments" in self.plain else {"segments": {"example": {"members": self.plain}}}
        return compile_plain(plain)

    @property
    def end(self) -> int:
        times = [time for span in self.spans for time in span if time is not None]
        return max([*times, *(event.arrival for event in self.events)]) + QUIET


def values(text: str) -> dict[str, Any]:
    problems = Problems()
    [node] = read_documents({"example": text}, problems)
    assert problems.found == []
    return node.plain()


def read_call(line: str, number: int) -> dict[str, Any]:
    """`TIME [~] [page, screen or identify] NAME {properties or traits} context {…} arriving TIME`."""
    line, _, arrival = line.partition(" arriving ")
    line, _, context = line.partition(" context ")
    found = EVENT.fullmatch(line.strip())
    assert found, line
    kind, name = found["type"] or "track", found["name"].strip()
    call = {"messageId": f"m{number}", "type": kind, "timestamp": found["time"]}
    call |= {"anonymousId": "x7"} if found["visitor"] else {"userId": "ada"}
    call |= {"track": {"event": name}, "identify": {}}.get(kind, {"name": name})
    fields = values(found["fields"]) if found["fields"] else {}
    call["traits" if kind == "identify" else "properties"] = fields
    return call | ({"context": values(context)} if context else {}) | ({"receivedAt": arrival} if arrival else {})


def read_span(line: str) -> Span:
    found = re.fullmatch(r"from (\S+)(?: to (\S+))?", line)
    assert found, line
    return read_time(found[1]), read_time(found[2]) if found[2] else None


def read_page() -> list[Example]:
    examples, heading, parts, number = [], "", [], 0
    for found in PART.finditer(PAGE.read_text(encoding="utf-8")):
        if found["heading"]:
            heading, number = found["heading"], 0
            continue
        parts.append((found["kind"], found["text"]))
        if found["kind"] == "members":
            assert [kind for kind, _ in parts] == ["yaml", "events", "members"], f"{heading}: {parts}"
            (_, definition), (_, events), (_, members) = parts
            calls = [read_call(line, count) for count, line in enumerate(events.splitlines())]
            spans = [read_span(line) for line in members.splitlines() if line != "never"]
            number += 1
            examples.append(Example(f"{heading} {number}", values(definition), calls, spans))
            parts = []
    assert parts == [], f"{heading}: an example without its end"
    return examples


EXAMPLES = read_page()
SCHEMA = Draft202012Validator(definitions_schema())


def is_member(example: Example, definitions: Definitions, time: int) -> bool:
    """Asked by a run over what had arrived by then."""
    users, _ = run_bounded(example.events, definitions, time)
    return any(asked(definitions) in user.members for user in users.values())


def asked(definitions: Definitions) -> str:
    """The last segment that is written."""
    return list(definitions.segments)[-1]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_members_come_and_go_when_the_page_says(example):
    definitions = example.definitions
    segment = asked(definitions)
    _, effects = run_bounded(example.events, definitions, example.end)
    entered, left = (
        [write_time(effect.at) for effect in of_type(kind, effects) if effect.segment == segment]
        for kind in (SegmentEntered, SegmentLeft)
    )
    assert entered == [write_time(begin) for begin, _ in example.spans]
    assert left == [write_time(end) for _, end in example.spans if end is not None]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_they_are_in_until_a_microsecond_before_they_are_out(example):
    definitions = example.definitions
    begins, ends = zip(*example.spans, strict=True) if example.spans else ((), ())
    for begin, end in example.spans:
        assert is_member(example, definitions, begin - 1) is (begin in ends)
        assert is_member(example, definitions, begin)
        assert is_member(example, definitions, example.end if end is None else end - 1)
        assert end is None or is_member(example, definitions, end) is (end in begins)
    assert is_member(example, definitions, example.end) is (None in ends)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_columns_say_the_same(example):
    definitions = example.definitions
    turns = {time + nudge for span in example.spans for time in span if time is not None for nudge in (-1, 0)}
    for time in {*turns, example.end}:
        found = columnar(example.calls, definitions, time)
        members = any(asked(definitions) in segments for segments in found.values())
        assert members is is_member(example, definitions, time), write_time(time)


def words(value: Any) -> set[str]:
    """Every key inside, and every text that names a type."""
    if isinstance(value, dict):
        return set(value) | {word for inner in value.values() for word in words(inner)}
    if isinstance(value, list):
        return {word for inner in value for word in words(inner)}
    return {value} & {*EVENT_TYPES} if isinstance(value, str) else set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_editors_take_them_too(example):
    members = {"segments": {"example": {"owner": "test", "members": example.plain}}}
    assert list(SCHEMA.iter_errors(example.plain if "segments" in example.plain else members)) == []


def test_no_form_operator_or_aggregate_is_without_an_example():
    found = {word for example in EXAMPLES for word in words(example.plain)}
    missing = (
        {*FORMS, *OPERATORS, *AGGREGATES, *EVENT_TYPES, "type", "where", "within", "since", "same"}
        - found
        - {"variant"}
    )
    assert missing == set()
    assert any(part.get("event") == ANY for example in EXAMPLES for part in parts_of(example.plain))
    inside = {
        aggregate: {key for example in EXAMPLES for key in keys_below(example.plain, aggregate)}
        for aggregate in ("count", *AMOUNTS, "distinct")
    }
    assert set(COMPARISONS) <= inside["count"]
    assert [aggregate for aggregate, keys in inside.items() if not keys & set(COMPARISONS)] == []


def keys_below(value: Any, name: str) -> set[str]:
    """The keys of every mapping that stands under a key."""
    if isinstance(value, list):
        return {key for inner in value for key in keys_below(inner, name)}
    if not isinstance(value, dict):
        return set()
    own = set(value[name]) if isinstance(value.get(name), dict) else set()
    return own | {key for inner in value.values() for key in keys_below(inner, name)}


def test_each_operator_of_attributes_has_an_example_as_such():
    used = {key for example in EXAMPLES for part in parts_of(example.plain) if "attribute" in part for key in part}
    assert set(OPERATORS) - used == set()


def parts_of(value: Any) -> list[dict[str, Any]]:
    """Every mapping inside."""
    if isinstance(value, list):
        return [part for inner in value for part in parts_of(inner)]
    inside = [part for inner in value.values() for part in parts_of(inner)] if isinstance(value, dict) else []
    return [value, *inside] if isinstance(value, dict) else []


def test_an_example_that_ends_and_one_that_does_not_are_both_there():
    ends = [end for example in EXAMPLES for _, end in example.spans]
    assert None in ends
    assert len(ends) - ends.count(None) > len(FORMS)
