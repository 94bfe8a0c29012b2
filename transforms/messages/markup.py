"""HTML of mail: MJML to HTML, styles into elements, HTML to text. The libraries are imported when first needed."""

import html
import re
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from css_inline import CSSInliner

__all__ = ["MjmlMistake", "check_tags", "compile_mjml", "in_language", "inline_styles", "text_of", "with_preheader"]

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_STAND_IN = re.compile(r"todoke-liquid-(\d+)-")
_BODY = re.compile(r"""<body\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
#: What mail clients of all makes leave out of the message and show in the list: as MJML's mj-preview does.
_HIDDEN = "display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"

#: MJML's tags that hold tags of MJML, and those that hold HTML, text or nothing: https://documentation.mjml.io
_OUTER = {
    *("mjml", "mj-head", "mj-attributes", "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero"),
    *("mj-accordion", "mj-accordion-element", "mj-carousel", "mj-navbar", "mj-social"),
}
_INNER = {
    *(
        "mj-accordion-text",
        "mj-accordion-title",
        "mj-all",
        "mj-breakpoint",
        "mj-button",
        "mj-carousel-image",
        "mj-class",
    ),
    *("mj-divider", "mj-font", "mj-image", "mj-include", "mj-navbar-link", "mj-preview", "mj-raw", "mj-social-element"),
    *("mj-spacer", "mj-style", "mj-table", "mj-text", "mj-title"),
}
#: MJML's language where the source names none.
_NO_LANGUAGE = 'lang="und"'
_BLANK_LINES = re.compile(r"\n{3,}")


class MjmlMistake(ValueError):
    """A mistake in MJML, and its line."""

    def __init__(self, cause: str, line: int) -> None:
        super().__init__(cause)
        self.line = line


class _Tags(HTMLParser):
    """Finds tags that MJML does not know, and would pass on unchanged, or leave out."""

    def __init__(self) -> None:
        super().__init__()
        self.above: list[str] = []
        self.unknown: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Called for each tag that opens."""
        known = tag in _OUTER or tag in _INNER
        if not known and (tag.startswith("mj-") or (self.above and self.above[-1] in _OUTER)):
            self.unknown.append((tag, self.getpos()[0]))
        if known:
            self.above.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag that closes itself."""
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Called for each tag that closes."""
        if tag in self.above:
            del self.above[len(self.above) - 1 - self.above[::-1].index(tag) :]


def check_tags(source: str) -> None:
    """Check that MJML knows each tag at its place.

    Raises:
      MjmlMistake: it does not know one, and would pass it on unchanged to the readers of the mail.
    """
    found = _Tags()
    found.feed(_LIQUID.sub(lambda match: "\n" * match[0].count("\n"), source))
    for tag, line in found.unknown:
        raise MjmlMistake(f"MJML has no tag `{tag}` here", line)


def compile_mjml(source: str) -> str:
    """HTML with the same Liquid in it.

    Liquid is taken out before and put back after, since a `<` in a tag is not XML. MJML silently drops an attribute
    that it cannot compute with (the width of an image): Liquid that would be lost this way is refused. Fonts come only
    from where the source says.

    Raises:
      MjmlMistake: it is not MJML, or MJML has no place for some Liquid.
    """
    from mjml import mjml2html  # noqa: PLC0415

    tags: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        tags.append(match[0])
        return f"todoke-liquid-{len(tags) - 1}-"

    try:
        compiled = str(mjml2html(_LIQUID.sub(stand_in, source), fonts={}))
    except ValueError as error:
        raise MjmlMistake(f"not MJML: {error}", 1) from error
    placed = {int(match[1]) for match in _STAND_IN.finditer(compiled)}
    for index, tag in enumerate(tags):
        if index not in placed:
            raise MjmlMistake(f"MJML has no place for `{tag}`: it computes with that attribute, so write the value", 1)
    return _STAND_IN.sub(lambda match: tags[int(match[1])], compiled)


@cache
def _inliner() -> "CSSInliner":
    from css_inline import CSSInliner  # noqa: PLC0415

    # Media queries cannot be inlined, so the style tags stay; a render must not reach for the network.
    return CSSInliner(keep_style_tags=True, keep_link_tags=True, load_remote_stylesheets=False)


def inline_styles(document: str) -> str:
    """A whole HTML document with its style rules on the elements, since many mail clients read nothing else.

    Raises:
      ValueError: the styles cannot be read.
    """
    return str(_inliner().inline(document))


def in_language(document: str, locale: str) -> str:
    """A document made from MJML, with its language, unless its source names one."""
    return document.replace(_NO_LANGUAGE, f'lang="{html.escape(locale)}"', 2)


def text_of(document: str, *, flush: bool = False) -> str:
    """The readable text of an HTML document, links with their addresses; `flush`: without indents of the layout."""
    from inscriptis import get_text  # noqa: PLC0415
    from inscriptis.model.config import ParserConfig  # noqa: PLC0415

    lines = str(get_text(document, ParserConfig(display_links=True))).split("\n")
    text = "\n".join(line.strip() if flush else line.rstrip() for line in lines)
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"


def with_preheader(document: str, preheader: str) -> str:
    """The document with an escaped text first in its body that only a list of messages shows."""
    body = _BODY.search(document)
    place = body.end() if body else 0
    return f'{document[:place]}<div style="{html.escape(_HIDDEN)}">{preheader}</div>{document[place:]}'
