"""Links in HTML and text: found where readers see them, replaced without another change, never to where none may go."""

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.messages.hrefs import anchors_of, followed, replaced, urls_of, with_parameters, with_pixel


class _Hrefs(HTMLParser):
    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "area"):
            self.found += [value or "" for name, value in attrs if name == "href"][:1]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ('<a href="https://a.example/?x=1&amp;y=2">a</a>', [("https://a.example/?x=1&y=2", "")]),
        ("<A\n HREF = 'https://a.example' >", [("https://a.example", "")]),
        ("<a href=https://a.example>", [("https://a.example", "")]),
        ("""<a data-x="href='https://no.example'" href='https://a.example'>""", [("https://a.example", "")]),
        ('<a title="a > b" href="https://a.example">', [("https://a.example", "")]),
        ('<a href="https://a.example" data-link="hero" name="n" id="i">', [("https://a.example", "hero")]),
        ('<a id="i" name="n" href="https://a.example">', [("https://a.example", "n")]),
        ('<area href="https://a.example"/>', [("https://a.example", "")]),
        ("<a name='top'>", []),
        ("<a href>", []),
        ('<!--[if mso]><a href="https://a.example"></a><![endif]-->', []),
        ('<style>a[href="https://a.example"]{}</style><script>"<a href=\'x\'>"</script>', []),
        ('<img src="https://a.example"><link href="https://a.example">', []),
    ],
)
def test_links_of_html_with_their_names(document: str, found: list[tuple[str, str]]) -> None:
    assert [(anchor.url, anchor.name) for anchor in anchors_of(document)] == found


@given(
    st.lists(st.text("https:/&\"'<> \n=?a日", max_size=12), max_size=5),
    st.sampled_from(['"', "'"]),
    st.text(max_size=9),
)
def test_other_links_stand_where_the_first_stood_and_nothing_else_changes(
    urls: list[str], quote: str, between: str
) -> None:
    between = html.escape(between).replace("\r", "")
    written = [f"<b>{between}</b>\n<a class=x href={quote}{html.escape(url)}{quote}>" for url in urls]
    document = "".join(written)
    places = anchors_of(document)
    others = [f"https://links.example/{number}?a&b" for number in range(len(places))]
    changed = replaced(document, zip(places, others, strict=True), quotes=True)
    assert _Hrefs(changed).found == others
    back = anchors_of(changed)
    assert replaced(changed, [(each, place.url) for each, place in zip(back, places, strict=True)], quotes=True) == (
        replaced(document, [(place, place.url) for place in places], quotes=True)
    )


def test_a_link_that_is_to_stay_says_so() -> None:
    [anchor, other] = anchors_of('<a href="https://a.example" data-tracking="OFF"><a href="https://b.example">')
    assert (anchor.left, other.left) == (True, False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://a.example/x. Or (https://b.example/y)!", ["https://a.example/x", "https://b.example/y"]),
        ("[shop](https://a.example/x_(y)) and shop://cart", ["https://a.example/x_(y)", "shop://cart"]),
        ("[a](https://a.example)[](https://b.example/[1])[](x)", ["https://a.example", "https://b.example/[1]"]),
        ("<https://a.example> 「https://b.example/日本」。", ["https://a.example", "https://b.example/日本"]),
        ("mail a@b.example, www.c.example, tel:1", []),
    ],
)
def test_urls_of_text(text: str, found: list[str]) -> None:
    assert [anchor.url for anchor in urls_of(text)] == found
    assert all(text[anchor.start : anchor.end] == anchor.url for anchor in urls_of(text))


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("https://a.example/日本?q=a b", "https://a.example/%E6%97%A5%E6%9C%AC?q=a%20b"),
        ("HTTPS://a.example", "HTTPS://a.example"),
        ("http://[::1]:80/%41#x", "http://[::1]:80/%41#x"),
        ("shop://cart?id=1", "shop://cart?id=1"),
        ("shop:cart", "shop:cart"),
        *((url, None) for url in ("", "#top", "/path", "//a.example", "mailto:a@b.c", "tel:1", "javascript:alert(1)")),
        *(
            (url, None)
            for url in ("data:text/html,x", "other://x", "https://", "https:///x", "https://a:b", "http://[")
        ),
        ("https://a.example/" + "x" * 2_000, None),
        ("java\nscript:x", None),
        ("https://a.example/\ud800", None),
    ],
)
def test_where_somebody_may_be_sent(url: str, to: str | None) -> None:
    assert followed(url, ("shop",)) == to


@given(st.text())
def test_wherever_somebody_is_sent_the_header_stays_one_line(url: str) -> None:
    for start in ("", "https://a.example/", "shop:"):
        to = followed(start + url, ("shop",))
        assert to is None or (to.isascii() and to.isprintable() and " " not in to)


def test_parameters_stand_before_the_fragment_and_never_twice() -> None:
    more = [("utm_source", "a&b"), ("utm_medium", ""), ("utm_term", "日")]
    assert with_parameters("https://a.example", more) == "https://a.example?utm_source=a%26b&utm_term=%E6%97%A5"
    assert with_parameters("https://a.example/?utm_source=x&b#c", more) == (
        "https://a.example/?utm_source=x&b&utm_term=%E6%97%A5#c"
    )


def test_the_picture_stands_last_in_the_body() -> None:
    shown = with_pixel("<html><body><p></body>\n</html>", "https://a.example/o?x&y")
    assert '<p><img src="https://a.example/o?x&amp;y" width="1"' in shown
    assert shown.endswith("</body>\n</html>")
    assert with_pixel("<p>", "x").startswith('<p><img src="x"')
