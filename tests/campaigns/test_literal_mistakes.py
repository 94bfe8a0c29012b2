"""What is written in full in messages is checked at its line."""

import pytest

from transforms.messages.grammar import read_messages
from transforms.segments.document import Problems, read_documents


def causes(message: str) -> list[str]:
    problems = Problems()
    (node,) = read_documents({"x.yaml": f"m: {message}"}, problems)
    read_messages(node, {}, problems)
    return [problem.cause for problem in problems.errors]


@pytest.mark.parametrize("url", ["x", "ftp://a.b", "https://", "https://u:pw@a.b:99999/", "ftp://{{ user.id }}"])
def test_a_webhook_needs_a_url_that_can_be_called(url):
    (cause,) = causes(f'{{channel: webhook, body: x, url: "{url}"}}')
    assert "expected http" in cause
    assert "pw" not in cause


@pytest.mark.parametrize("url", ["https://a.example/x", "https://{{ user.id }}.example", "{{ user.id }}"])
def test_urls_that_may_be_called(url):
    assert not causes(f'{{channel: webhook, body: x, url: "{url}"}}')


def test_a_subject_is_one_line():
    (cause,) = causes('{channel: email, text: x, subject: "a\\nb"}')
    assert "one line" in cause
    assert not causes('{channel: email, text: x, subject: "a {% if user.id\\n%}b{% endif %}\\n"}')


def test_a_yaml_bomb_is_refused_unwritten():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    problems = Problems()
    assert not read_documents({"x.yaml": "\n".join(lines)}, problems)
    assert "aliases written out" in problems.errors[0].cause
