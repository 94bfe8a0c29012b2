"""Documents in Markdown: what comes from definitions and providers is text, never mark-up."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from todoke.slo.document import Heading, ListOf, Sentence, TableOf, as_markdown, open_tasks
from transforms.events.plain import plain_lines

HOSTILE = (
    *("[click](javascript:alert(1))", "![x](https://evil.example/pixel.png)", "<script>alert(1)</script>", "&lt;b&gt;"),
    *("`code`", "**bold**", "_leans_ and __more__", "~~gone~~", "a | b \\| c \\\\| d", "[ ] a task", "[x] done"),
    *("# heading", "- item", "+ item", "1. one", "1) one", "> quote", "two\nlines\r\n\r\n# heading", "[a]: /b", "<b"),
    *("push_latency of dead_token", "snake__case", "trailing_", "-2785.2%", "2026-11-30T21:19:00Z: it began"),
)
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text("ab1_*`[]()<>&|\\~#-+.! \n"), st.lists(st.sampled_from(HOSTILE)).map(" ".join)
)


class Texts(HTMLParser):
    """The tags of a page, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def flat(text: str) -> str:
    return "".join(plain_lines(text).split())


@given(texts)
@example(" ".join(HOSTILE))
def test_what_others_wrote_is_text(text: str) -> None:
    parts = [Heading(2, f"x {text}"), Sentence(f"x {text}"), TableOf(("a", "b"), [(f"x {text}", f"y {text}")])]
    shown = Texts(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(as_markdown(parts)))
    assert shown.tags == ["h2", "p", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert flat("".join(shown.said)) == flat(f"x {text} x {text} a b x {text} y {text}")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_begins_a_line_is_text_too(text: str) -> None:
    shown = Texts(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(as_markdown([ListOf([text])])))
    assert shown.tags == ["ul", "li"]
    assert flat("".join(shown.said)) == flat(text)


def test_ids_and_numbers_stay_readable() -> None:
    said = "2026-11-30T21:19:00Z: 8 sends of thank_you: failed, dead_token, -2785.2%"
    assert as_markdown([Sentence(said)]) == f"{said}\n"


@given(texts)
def test_a_task_is_the_same_a_week_later(text: str) -> None:
    once = open_tasks(as_markdown([ListOf([text], tasks=True)]))
    assert once == [] if not flat(text) else [" ".join(plain_lines(text).split())]
    assert open_tasks(as_markdown([ListOf(once, tasks=True)])) == once
