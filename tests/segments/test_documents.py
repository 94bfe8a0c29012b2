"""Definition files as YAML 1.2: what values mean, where they stand, and that no text does worse than a problem."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.campaigns.load import check
from transforms.segments.document import MAX_DEPTH, MAX_VALUES, Problems, read_documents


def read(text):
    problems = Problems()
    documents = read_documents({"a.yaml": text}, problems)
    return documents, [(problem.line, problem.path, problem.cause) for problem in problems]


def value_of(text):
    [document], problems = read(f"x: {text}")
    assert problems == []
    return document.value["x"].plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.1 would read booleans, times of day and octal numbers here.
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("2026-07-01", "2026-07-01"),
        ("2026-07-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'5'", "5"),
        ("-5", -5),
        ("5.0", 5.0),
        ("1e3", 1000.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("沖縄県", "沖縄県"),
        ('"\\u6c96"', "沖"),
        ("[a, {b: [~]}]", ["a", {"b": [None]}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "value"), [("NO", "NO"), ("yes", "yes"), ("off", "off"), ("010", 10), ("true", True)])
def test_so_they_are_where_a_file_asks_for_another_version(text, value):
    [document], problems = read(f"%YAML 1.1\n---\nx: {text}")
    assert (document.plain(), problems) == ({"x": value}, [])


def test_aliases_mean_what_they_name_and_keys_keep_their_own_lines():
    [document], problems = read("one: &owner {a: 1}\ntwo:\n  - *owner\n\nthree: *owner\n")
    assert problems == []
    assert document.plain() == {"one": {"a": 1}, "two": [{"a": 1}], "three": {"a": 1}}
    assert document.value["three"].line == 5
    assert document.value["two"].value[0].path == "two[0]"


def test_an_anchor_written_twice_is_no_mistake(recwarn):
    assert value_of("[&a 1, *a, &a 2, *a]") == [1, 1, 2, 2]
    assert list(recwarn) == []


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_a_file_without_content_says_nothing(text):
    documents, problems = read(text)
    assert problems == []
    assert [document.plain() for document in documents] in ([], [None])


MISTAKES = {
    "a: 1\na: 2": [(2, "a", "`a` is written twice")],
    "a:\n  b: {c: 1, c: 2}": [(2, "a.b.c", "`c` is written twice")],
    "? [a]\n: 1": [(1, "", "a key must be text")],
    "a: b: c": [(1, "", "not YAML: mapping values are not allowed here")],
    "a:\n\t- b": [(2, "", "not YAML: found character '\\t'")],
    "a: {b: [}": [(1, "", "not YAML: ")],
    "a: 1\n---\nb: 2": [(2, "", "not YAML: but found another document")],
    "a: 1\nb: *nobody": [(2, "", "not YAML: found undefined alias")],
    "a: 1\nb: \x00": [(2, "", "not YAML: a control character, #x0000")],
    'a: "\\UFFFFFFFF"': [(1, "", "not YAML: ")],
    'a: "\\uDC00"': [(1, "a", "text with half of a surrogate pair")],
    '"\\uDC00": 1': [(1, "", "text with half of a surrogate pair")],
    "a: .inf": [(1, "a", "not a finite number: .inf")],
    "a: 1e999": [(1, "a", "not a finite number: 1e999")],
    "a: " + "9" * 5000: [(1, "a", "not a finite number: 999")],
    "a: &a [*a]": [(1, "a[0]", "an alias contains itself")],
    "a: &a [*a, *a, b]": [(1, "a[0]", "an alias contains itself"), (1, "a[1]", "an alias contains itself")],
    "a: &a\n  b: {c: *a}": [(2, "a.b.c", "an alias contains itself")],
    "[" * 300 + "]" * 300: [(1, "[0]" * 13 + "[…", f"nested more than {MAX_DEPTH} deep")],
    "{a: " * 20_000: [(1, "", "")],
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:20])
def test_mistakes_in_yaml(text):
    _, found = read(text)
    expected = MISTAKES[text]
    assert [place[:2] for place in found] == [place[:2] for place in expected]
    for place, (_, _, part) in zip(found, expected, strict=True):
        assert part in place[2]


def test_a_few_aliases_cannot_stand_for_more_values_than_fit():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    documents, problems = read("\n".join(lines))
    assert documents == []
    assert problems == [(1, "", f"more than {MAX_VALUES:,} values, aliases written out")]


def test_files_do_not_spoil_each_other():
    problems = Problems()
    documents = read_documents({"a.yaml": "a: [", "b.yaml": "b: 1\nb: 2", "c.yaml": "c: 1"}, problems)
    assert [document.file for document in documents] == ["b.yaml", "c.yaml"]
    assert [(problem.file, problem.line) for problem in problems] == [("a.yaml", 1), ("b.yaml", 2)]


#: Words of the language and of YAML, so that random texts come far.
VOCABULARY = """
    segments campaigns messages policies owner members all any not event where within since count first last missing
    attribute is is_not in exists between matches before older_than identified reachable consented topic channel
    trigger enters leaves audience steps send wait exit reenter after consent transactional max_event_age segment
    default_zone push email title subject text data ttl s m 7d 30s 1 2.5 -1 true NO ~ .inf [ ] { } : , - ? & * | > ! % @
    # ' " \\ &a *a <<
"""
WORDS = VOCABULARY.split()
PIECES = st.sampled_from(
    [*WORDS, *(f"{word}: " for word in WORDS), "\n", "\n  ", "\n    ", "\n      - ", " ", "{{ x }}"]
)
fuzz = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))


@fuzz
@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=200))
@example("segments: {s: {owner: o, members: {event: A}}}\nmessages: &a {m: *a}")
def test_no_text_does_worse_than_a_problem(text):
    definitions, problems = check((("any.yaml", text),))
    assert (definitions is None) is bool(problems.errors)
    assert all(problem.line >= 1 and "\n" not in problem.path[:40] for problem in problems)


LEAVES = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
KEYS = st.sampled_from([word for word in WORDS if word.isidentifier()])
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=30
)


def flow(value):
    """A value as YAML, without a library of the same maker."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    return {None: "~", True: "true", False: "false"}.get(value, repr(value)) if value != 1 or value is True else "1"


@fuzz
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "segments": st.dictionaries(KEYS, st.fixed_dictionaries({"owner": st.just("o"), "members": TREES}) | TREES),
            "campaigns": st.dictionaries(
                KEYS, st.dictionaries(KEYS, TREES) | st.fixed_dictionaries({"trigger": TREES, "steps": TREES})
            ),
            "messages": st.dictionaries(KEYS, st.dictionaries(KEYS, TREES)),
            "policies": st.dictionaries(KEYS, TREES) | TREES,
        },
    )
)
def test_no_structure_does_worse_than_a_problem(plain):
    definitions, problems = check((("any.yaml", flow(plain)),))
    assert (definitions is None) is bool(problems.errors)
    assert "not YAML" not in " ".join(problem.cause for problem in problems)
    assert " at 0x" not in " ".join(problem.cause for problem in problems)
