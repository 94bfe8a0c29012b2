"""The JSON Schema of definition files accepts and refuses what `todoke validate` does, wherever a schema can say it."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from campaigns.conftest import VALID
from campaigns.test_campaign_mistakes import CASES
from campaigns.test_definitions_mistakes import CHANGED
from campaigns.test_delay_mistakes import CHANGED as DELAYS
from campaigns.test_full_language import EACH, FOLDER
from campaigns.test_recommend_language import WHOLE as RECOMMENDED
from generate_conditions import definitions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from messages.test_message_definitions import MISTAKES, PUSH
from segments.conftest import HEAD
from segments.test_condition_mistakes import ALLOWED, CORPUS
from slos.test_level_language import CORPUS as LEVELS
from strength import examples

from transforms.campaigns.load import check
from transforms.campaigns.schema import definitions_schema
from transforms.segments.document import Problems, read_documents

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = ROOT / "docs" / "todoke.schema.json"
SHIPPED = [*sorted((ROOT / "examples").glob("*.yaml")), ROOT / "todoke" / "demo" / "shop.yaml"]
SCHEMA = Draft202012Validator(definitions_schema())

#: A part of each cause that no schema can say, and why. docs/how-to/editor.md lists the same.
UNSAID = {
    "which does not exist": "a reference may lead to another file",
    "in a circle": "a schema follows no references",
    "no campaign sends message": "the same, the other way round",
    "is already defined at": "files are looked at one by one",
    "is already set at": "the same",
    "step id `": "ids that a step takes of its message; a schema compares whole items of a list only",
    "is given twice": "ja_JP and ja-jp are two keys to a schema",
    "conditions nest at most": "a schema does not count depth",
    "steps nest at most": "the same",
    "others have no properties": "a step is not looked at beside its campaign's trigger",
    "there is no variant `": "nor beside its variants",
    "sends nothing to variant": "the same",
    "sending by variant needs": "the same",
    "`variant` needs a campaign": "the same",
    "variants add up to 100 percent": "a schema does not add",
    "is not after `starts`": "nor does it compare two values",
    "not a cron expression": "a language of its own",
    "expected five fields": "the same",
    "there is no such day": "the calendar: 30 February",
    "there is no such time": "the calendar: 30 February",
    "no time zone of the IANA database": "the names change with the database",
    " is above ": "a schema does not compare two values",
    "nobody is at or above": "the same",
    "the event leaves its window before": "the same",
    "`from` and `to` are the same": "the same",
    "shorter than the quiet hours": "the same",
    "a duration is at most a hundred years": "units would have to be reckoned",
    "at most four weeks": "the same",
    "expected whole days, at most 365d": "the same",
    "is no bound of the histograms": "the same",
    "its alert could never fire": "a schema does not look at two places",
    "sends nothing by": "the same",
    "no service level is of it": "the same",
    "are known to messages alone": "an attribute of this name is one, where nothing is recommended",
    "is in no archive": "a schema follows no references, and knows no names of events",
    "not an RE2 pattern": "a language of its own",
    "Liquid: ": "a language of its own",
    "MJML": "a language of its own",
    "expected a mailbox": "a grammar of its own, of which Liquid may write a part",
}
OF_SEVERAL_FILES = {"is already defined at", "is already set at"}
#: What is wrong with the text itself, of which there are no values then that a schema could look at.
UNREADABLE = (
    *("not YAML", "a key must be text", "is written twice", "not a finite number", "surrogate pair"),
    *("an alias contains itself", "aliases written out", "nested too deeply", "nested more than"),
)


def refusals(values: Any) -> list[str]:
    """What the schema has against values, with the place."""
    return [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(values)]


def compare(text: str) -> set[str]:
    """See that both judge a text alike; returns the causes that only one of them can know."""
    unreadable = Problems()
    documents = read_documents({"x.yaml": text}, unreadable)
    causes = [problem.cause for problem in check((("x.yaml", text),))[1].errors]
    if unreadable.found:
        assert all(any(part in cause for part in UNREADABLE) for cause in {p.cause for p in unreadable.found})
        return set()
    unsaid = {cause: next((part for part in UNSAID if part in cause), None) for cause in causes}
    said = [cause for cause, part in unsaid.items() if part is None]
    refused = [refusal for document in documents for refusal in refusals(document.plain())]
    assert bool(refused) is bool(said), f"validate: {causes}; schema: {refused}"
    return {part for part in unsaid.values() if part is not None}


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def corpus() -> Iterator[str]:
    """Every text that other tests find mistakes in, or none."""
    yield from (HEAD + indented(condition, 6) for condition in (*CORPUS, *ALLOWED))
    yield from (VALID.replace(part, instead, 1) for part, instead, _ in (*CHANGED, *DELAYS))
    yield from (f"messages:\n{indented(text, 2)}" for text, _ in MISTAKES)
    yield from (text for text, _, _ in CASES)
    yield from EACH
    yield from LEVELS
    yield from RECOMMENDED
    yield from (path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml")))
    yield from (f"messages:\n{indented(PUSH, 2)}", VALID, "hello", "[1, 2]", "5", "{}", "")
    yield from (f"segments: {section}\npolicies: {section}\n" for section in ("{}", "~", "[]", "x"))


#: What the other corpora do not hold: numbers and booleans for keys, and the edges of the schema's own patterns.
MORE = [
    *("5: {}", "true: {}", "segments: {1: {owner: o, members: {event: A}}}", "~: 1"),
    *("segments: {true: {owner: o, members: {event: A}}}", "segments: {s: {5: o, owner: o, members: {event: A}}}"),
    *(
        HEAD + f"      {condition}\n"
        for condition in (
            *("{event: A, where: {5: {is: 5}}}", "{event: A, where: {true: {is: 5}}}", "{event: A, where: {1.5: {}}}"),
            *("{event: A, where: {1.5: {is: 5}}}", "{event: A, where: {.5: {is: 5}}}", "{true: {event: A}}"),
            *("{event: A, 5: x}", "{event: A, where: {x: {5: 1}}}", "{event: A, count: {5: 1}}", "{not: {1: 2}}"),
            *("{event: A, count: {is: 5.0}}", "{event: A, count: {is: 1e9}}", "{event: A, count: {is: 1e10}}"),
            *("{event: A, count: {less_than: 1}}", "{event: A, count: {between: [1.0, 2.5]}}"),
            *("{event: A, since: 1972-12-31, count: {is: 1000}}", "{event: A, since: 1972-12-31, count: {is: 1001}}"),
            *(
                "{event: A, since: 0999-12-31, sum: {of: n, is: 0}}",
                "{event: A, since: 1973-01-01, sum: {of: n, is: 0}}",
            ),
            "{event: A, since: 1972-12-31, count: {between: [1, 1001]}}",
            *("{event: A, since: '2026-07-01T10:00+09'}", "{event: A, since: '2026-07-01T10:00:00.123456789+0930'}"),
            *(
                "{event: A, since: '2026-07-01T10:00'}",
                "{event: A, since: '2026-07-01T10Z'}",
                "{event: A, since: 20260701}",
            ),
            *("{event: A, since: '2026-07-01 10:00Z'}", "{event: A, since: 2026-W01}", "{event: A, since: 2026-182}"),
            *("{event: A, within: 00s}", "{event: A, within: 007d}", "{event: A, within: 0000000001d}"),
            *("{event: A, distinct: {of: n, more_than: 9999}}", "{event: A, distinct: {of: n}}"),
            *("{attribute: context, exists: true}", "{attribute: contexts.x, exists: true}"),
            *("{attribute: context.location., exists: true}", "{attribute: context.location, exists: true}"),
            *("{attribute: 'context[].x', exists: true}", "{attribute: 'context.locale[]', exists: true}"),
            *("{attribute: x, is: ''}", "{attribute: x, in: [1, a, true, '']}", "{attribute: x, in: [~]}"),
            *("{attribute: x, between: [a, b]}", "{attribute: x, between: [true, true]}"),
            *(
                "{attribute: v, version_at_least: '1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17'}",
                "{attribute: v, exists: ~}",
            ),
            *("{near: {attribute: 'context[]', latitude: 1, longitude: 2, within_km: 1}}", "{identified: false}"),
            *("{attribute: b, anniversary: {before: 24h}}", "{attribute: b, anniversary: {}}"),
            *("{sequence: [{event: A}, {event: B}, {event: C, within: 1d}], within: 1w}", "{any: {}}", "{not: ~}"),
        )
    ),
    *(
        VALID.replace(part, instead, 1)
        for part, instead in (
            *(
                ("{send: hello}", "{send: {}}"),
                ("{send: hello}", "{send: ~}"),
                ("{send: hello}", "{id: '', send: hello}"),
            ),
            *(("{send: hello}", "{id: 5, send: hello}"), ("{send: hello}", "{send: hello}\n      - {wait: {}}")),
            *(("consent: news", "transactional: true"), ("consent: news", "transactional: false")),
            *(("consent: news", "consent: news\n    transactional: false"), ("consent: news", "consent: ''")),
            *(("consent: news", "consent: news\n    exit: []"), ("consent: news", "consent: news\n    exit: ~")),
            *(("consent: news", "consent: news\n    exit: [{}]"), ("consent: news", "consent: news\n    audience: {}")),
            *(
                ("{enters: vip}", "{event: A}\n    reenter: never"),
                ("{enters: vip}", "{event: any}\n    reenter: never"),
            ),
            *(("{enters: vip}", "{enters: ''}"), ("trigger: {enters: vip}", "trigger: ~")),
            ("{enters: vip}", "{event: A, type: page, where: {x: {is: 1}}}\n    reenter: {after: 1d}"),
            *(
                ("title: Hello", "title: {en: x, ja-JP: y}"),
                ("title: Hello", "title: {en: 5}"),
                ("title: Hello", "title: 5"),
            ),
            *(
                ("title: Hello", "title: {5: x}"),
                ("title: Hello", "title: {no: x}"),
                ("title: Hello", "title: x, data: {}"),
            ),
            *(("title: Hello", "title: x, data: {5: 5, true: true, a: ~}"), ("title: Hello", "title: x, badge: 2.0")),
            *(
                ("title: Hello", "title: x, data: {5: 5, true: true, a: {en: b}}"),
                ("title: Hello", "title: x, ttl: 4w"),
            ),
            *(
                ("channel: push", "channel: [push]"),
                ("channel: push", "channel: ~"),
                ("channel: push", "channel: true"),
            ),
            *(("segments:\n", "policies: {default_locale: 5}\nsegments:\n"), ("owner: crm", "owner: 5")),
        )
    ),
]


def test_the_published_schema_is_made_of_this_code():
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert published == definitions_schema(), "make schema writes it anew"


def test_it_is_a_schema_of_the_draft_that_it_names():
    Draft202012Validator.check_schema(json.loads(PUBLISHED.read_text(encoding="utf-8")))
    assert definitions_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name + "/" + path.stem)
def test_the_files_that_come_with_it_say_where_it_is_and_have_no_mistakes(path):
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == PUBLISHED
    assert compare(text) == set()


def test_it_judges_as_validate_does_but_for_what_it_cannot_say():
    met: set[str] = set()
    for text in (*corpus(), *MORE):
        try:
            met |= compare(text)
        except AssertionError as error:
            raise AssertionError(text) from error
    assert set(UNSAID) - met == OF_SEVERAL_FILES


def test_what_it_cannot_say_stands_on_the_page():
    page = (ROOT / "docs" / "how-to" / "editor.md").read_text(encoding="utf-8")
    for word in (
        "references",
        "circles",
        "no campaign sends",
        "30 February",
        "RE2",
        "Liquid",
        "MJML",
        "IANA",
        "32 deep",
    ):
        assert word in page


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in inside:
        yield (*path, key)
        yield from places(child, (*path, key))


STRAYS = [None, True, 0, -1, 1.5, 5000, "", "x", "any", "7d", "2026-03-27", [], ["x"], [1, 2], {}, {"x": 1}]
STRAYS += [{"event": "A"}, {"of": "x", "is": 1}, {"at_least": 5000}, {"within": "1d"}, {"salt": "x"}, {"en": "x"}]
KEYS = [
    "event",
    "within",
    "since",
    "same",
    "count",
    "sum",
    "first",
    "missing",
    "is",
    "between",
    "type",
    "x",
    "attribute",
]


def shipped() -> list[Any]:
    """The files that come with it, as plain values."""
    texts = {str(path): path.read_text(encoding="utf-8") for path in SHIPPED}
    return [node.plain() for node in read_documents(texts, Problems())]


BASES = definitions() | st.sampled_from(shipped())


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """Definitions in which one or two values were replaced, left out, or put under another key."""
    plain = copy.deepcopy(draw(BASES))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(plain)) or [()]))
        if not path:
            break
        parent: Any = plain
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        if how == "replace":
            parent[path[-1]] = draw(st.sampled_from(STRAYS))
        elif how == "remove":
            del parent[path[-1]]
        elif isinstance(parent, dict):
            value = parent[path[-1]] if how == "add" else parent.pop(path[-1])
            parent[draw(st.sampled_from(KEYS))] = value
    return json.dumps(plain)


@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(plain=definitions())
def test_it_accepts_every_definition_of_the_generator(plain):
    assert refusals(plain) == []


@settings(max_examples=examples(300), suppress_health_check=list(HealthCheck))
@given(text=spoilt())
def test_it_judges_as_validate_does_whatever_was_spoilt(text):
    compare(text)


def test_files_of_one_folder_are_judged_one_by_one():
    text = "policies: {default_zone: UTC}\nsegments: {a: {owner: o, members: {segment: a}}}"
    [node] = read_documents({"x.yaml": text}, Problems())
    assert refusals(node.plain()) == []
    _, found = check((("one.yaml", text), ("two.yaml", text)))
    assert {part for problem in found.errors for part in UNSAID if part in problem.cause} >= OF_SEVERAL_FILES
