"""Both readers of YAML give the same tree, at the same lines, for whatever libyaml takes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from strength import examples
from test_documents import MISTAKES, PIECES

from transforms.segments.compose import compose, compose_carefully

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("examples", "bench", "todoke", "tests") for file in (ROOT / folder).rglob("*.yaml"))


def shape(node):
    """A tree as values: tags, text, which nodes are the same one, and the lines: those of keys, items and the top."""
    seen = {}

    def of(node):
        if node is None or id(node) in seen:
            return seen.get(id(node))
        seen[id(node)] = number = len(seen)
        value = {
            ScalarNode: lambda: node.value,
            SequenceNode: lambda: [(of(item), item.start_mark.line) for item in node.value],
            MappingNode: lambda: [(of(key), key.start_mark.line, of(value)) for key, value in node.value],
        }[type(node)]()
        return number, str(node.tag), value

    return of(node), node and node.start_mark.line


def read(reader, text):
    try:
        return shape(reader(text))
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        return type(error)


def agree(text):
    assert read(compose, text) == read(compose_carefully, text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_are_read_alike(file):
    agree(file.read_text())


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:20])
def test_mistakes_are_the_same(text):
    agree(text)


TEXTS = [
    "a: !!str 5\nb: !mine {c: 1}",
    "a: &x {b: 1, c: [2]}\nd: *x\ne: &x 3\nf: *x",
    "- \n- a\n-\n\n- b",
    "a:\n\n  # comment\n  b:\nc: |\n  d\n\n  e\nf: >-\n  g\n  h\n\n  i",
    "? a\n: b\n? c\n",
    "{a, b: , c: [d: e, f]}",
    '{"a":1, "b":c}',
    "a: b\n  c\n  d",
    "--- a\n...\n",
    "a: 'it''s'\nb: \"x\\\n  y\\/\\x41\\u00e9\\0\"",
    "a: 1_000\nb: 0b11\nc: 1.\nd: +.5\ne: .e\nf: 0o8\ng: =\nh: <<\ni: 1e5\nj: -.inf",
    "url: http://x.com/#a\nb: a#b\nc: a # b",
    "[http://a.com, a:b, {a:b}]",
    "a: \U0001f600\n\U0001f600: b",
    "😀: [a]\r\nb: 1\rc: 2",
    "a:\tb\n",
    "\ufeffa: b",
    "a: b\x85c: d",
    "%YAML 1.1\n---\nyes: no",
    "a: -\nb: ?\nc: '-'",
    "- - - a\n    - b\n  - c",
    "a: |2\n    b\n   c\nd: |+\n  e\n\n",
    "[" * 240 + "]" * 240,
    "[" * 260 + "]" * 260,
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_read_alike(text):
    agree(text)


@settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, max_size=40).map("".join) | st.text("ab:- \n'\"[]{},#&*!|>%?1.\\", max_size=40))
def test_any_text_is_read_alike(text):
    agree(text)
