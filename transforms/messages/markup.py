"""HTML of mail: MJML to HTML, styles into elements, HTML to text. The libraries are imported when first needed."""

import html
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from css_inline import CSSInliner

__all__ = ["compile_mjml", "inline_styles", "text_of", "with_preheader"]

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_STAND_IN = re.compile(r"todoke-liquid-(\d+)-")
_BODY = re.compile(r"""<body\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
#: What mail clients of all makes leave out of the message and show in the list: as MJML's mj-preview does.
_HIDDEN = "display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"


def compile_mjml(source: str) -> str:
    """HTML with the same Liquid in it.

    Liquid is taken out before and put back after, since a `<` in a tag is not XML. MJML silently drops an attribute
    that it cannot compute with (the width of an image): Liquid that would be lost so is refused.

    Raises:
      ValueError: it is not MJML, or MJML has no place for some Liquid.
    """
    from mjml import mjml2html  # noqa: PLC0415

    tags: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        tags.append(match[0])
        return f"todoke-liquid-{len(tags) - 1}-"

    try:
        compiled = str(mjml2html(_LIQUID.sub(stand_in, source)))
    except ValueError as error:
        raise ValueError(f"not MJML: {error}") from error
    placed = {int(match[1]) for match in _STAND_IN.finditer(compiled)}
    for index, tag in enumerate(tags):
        if index not in placed:
            raise ValueError(f"MJML has no place for `{tag}`: it computes with that attribute, so write the value")
    return _STAND_IN.sub(lambda match: tags[int(match[1])], compiled)


@cache
def _inliner() -> "CSSInliner":
    from css_inline import CSSInliner  # noqa: PLC0415

    # Media queries cannot be inlined, so the style tags stay; a render must not reach for the network.
    return CSSInliner(keep_style_tags=True, keep_link_tags=True, load_remote_stylesheets=False)


def inline_styles(document: str) -> str:
    """A whole HTML document with its style rules on the elements, as many mail clients read nothing else.

    Raises:
      ValueError: the styles cannot be read.
    """
    return str(_inliner().inline(document))


def text_of(document: str) -> str:
    """The readable text of an HTML document, links with their addresses."""
    from inscriptis import get_text  # noqa: PLC0415
    from inscriptis.model.config import ParserConfig  # noqa: PLC0415

    return str(get_text(document, ParserConfig(display_links=True))).strip() + "\n"


def with_preheader(document: str, preheader: str) -> str:
    """The document with escaped text that only a list of messages shows, first in its body."""
    body = _BODY.search(document)
    place = body.end() if body else 0
    return f'{document[:place]}<div style="{html.escape(_HIDDEN)}">{preheader}</div>{document[place:]}'
