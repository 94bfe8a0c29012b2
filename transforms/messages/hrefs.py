"""The links of a message: where they stand in HTML and in text, and putting others in their places."""

import html
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

__all__ = ["Anchor", "anchors_of", "followed", "is_followed", "replaced", "urls_of", "with_parameters", "with_pixel"]

#: The attribute that names a link, and those that name it where that one is missing.
_NAMES = ("data-link", "name", "id")
#: `data-tracking="off"` leaves a link as it is.
_TRACKING = "data-tracking"
#: One attribute of a tag (HTML, 13.1.2.3), with the place of its value.
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'=<>`]+))?""")
_URL = re.compile(r"""[a-z][a-z0-9+.-]{0,30}://[^\s<>"'\\^`{|}\x00-\x1f]+""", re.IGNORECASE)
#: What ends a sentence and no URL.
_AFTER = ".,;:!?…。、」』）"
_PAIRS = {")": "(", "]": "["}
#: Longer ones stay as they are, in characters: mail clients cut lines and links.
_LONGEST = 2_000
#: What a URL may hold as it is (RFC 3986, 2.2 and 2.3, and the percent sign).
_SAFE = "%:/?#[]@!$&'()*+,;=-._~"
_END = re.compile(r"</body\s*>", re.IGNORECASE)


class Anchor(NamedTuple):
    """A link's URL in a text, from `start` to `end`; `name` is empty where it has none.

    `left`: it is to stay as it is.
    """

    start: int
    end: int
    url: str
    name: str = ""
    left: bool = False


class _Anchors(HTMLParser):
    def __init__(self, document: str) -> None:
        super().__init__()
        self._lines = [0, *(match.end() for match in re.finditer("\n", document))]
        self.found: list[Anchor] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag that opens."""
        if tag not in ("a", "area"):
            return
        values: dict[str, str] = {}
        for name, value in attrs:
            values.setdefault(name, value or "")
        line, column = self.getpos()
        written = self.get_starttag_text() or ""
        place = _value_of("href", written)
        if place is None:
            return
        begin = self._lines[line - 1] + column
        name = next((values[key] for key in _NAMES if values.get(key)), "")
        left = values.get(_TRACKING, "").lower() == "off"
        url = values.get("href", "").strip()
        self.found.append(Anchor(begin + place[0], begin + place[1], url, name.strip(), left))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag that closes itself."""
        self.handle_starttag(tag, attrs)


def _value_of(attribute: str, tag: str) -> tuple[int, int] | None:
    """Where the value of a tag's attribute stands, with its quotes."""
    start = re.match(r"<[^\s/>]+", tag)
    for match in _ATTRIBUTE.finditer(tag, start.end() if start else 0):
        if match[1].lower() == attribute:
            return match.span(2) if match[2] is not None else None
    return None


def anchors_of(document: str) -> list[Anchor]:
    """The links of HTML, in their order; places have their quotes."""
    return _Anchors(document).found


def urls_of(text: str) -> list[Anchor]:
    """The URLs of a text, in their order."""
    found: list[Anchor] = []
    end = 0
    while match := _URL.search(text, end):
        url = _closed(match[0]).rstrip(_AFTER)
        end = match.start() + len(url)
        found.append(Anchor(match.start(), end, url))
    return found


def _closed(url: str) -> str:
    """A URL up to where something closes that stood open before it, as in `(see https://shop.example)`."""
    open_now: list[str] = []
    for place, character in enumerate(url):
        if character in _PAIRS.values():
            open_now.append(character)
        elif character in _PAIRS and (not open_now or open_now.pop() != _PAIRS[character]):
            return url[:place]
    return url


def replaced(text: str, places: Iterable[tuple[Anchor, str]], *, quotes: bool) -> str:
    """A text with other URLs in the places of some links; `quotes`: as attributes of HTML."""
    parts, end = [], 0
    for anchor, url in places:
        parts += [text[end : anchor.start], f'"{html.escape(url)}"' if quotes else url]
        end = anchor.end
    return "".join([*parts, text[end:]])


def is_followed(url: str, schemes: Iterable[str]) -> bool:
    """Whether somebody may be sent to a URL: of the web, with a host, or of one of these schemes."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or any(each in url for each in ' \\<>"'):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) if parts.scheme in ("http", "https") else parts.scheme in schemes


def followed(url: str, schemes: Iterable[str]) -> str | None:
    """A URL in ASCII that somebody may be sent to; None for what no redirect should lead to."""
    try:
        found = quote(url, safe=_SAFE)
    except UnicodeEncodeError:  # half a surrogate
        return None
    return found if is_followed(found, schemes) else None


def with_parameters(url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """A URL of the web with parameters that it does not have yet; an empty one is left out."""
    before, sign, fragment = url.partition("#")
    path, _, query = before.partition("?")
    known = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    more = [f"{quote_plus(name)}={quote_plus(value)}" for name, value in parameters if value and name not in known]
    whole = "&".join([*([query] if query else []), *more])
    return f"{path}{'?' if whole else ''}{whole}{sign}{fragment}"


def with_pixel(document: str, url: str) -> str:
    """HTML with a picture last in its body that is fetched when somebody looks at it."""
    ends = list(_END.finditer(document))
    place = ends[-1].start() if ends else len(document)
    style = "display:block;width:1px;height:1px;border:0"
    picture = f'<img src="{html.escape(url)}" width="1" height="1" alt="" style="{style}">'
    return f"{document[:place]}{picture}{document[place:]}"
