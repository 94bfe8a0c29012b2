"""A page as an answer: a template that is filled in, and headers under which it can do nothing but show itself."""

import logging
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files

from starlette.responses import Response

from transforms.messages.definitions import Partials
from transforms.messages.liquid import fill

__all__ = ["notice", "page"]

_STYLE = re.compile(r"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_log = logging.getLogger(__name__)


@cache
def _usual(name: str) -> str:
    """A template that comes with the service."""
    return files(__package__).joinpath(f"{name}.html").read_text("utf-8")


def page(
    scope: Mapping[str, object], name: str, own: str | None = None, partials: Partials = (), status: int = 200
) -> Response:
    """The page of a template, in which every value is escaped.

    Args:
      scope: what the template may show.
      name: the usual template.
      own: another one, with its partials; where it cannot be filled in, the usual one is shown.
      partials: what `own` renders.
      status: of the answer.
    """
    try:
        shown = fill(_usual(name) if own is None else own, scope, escape=True, partials=partials)
    except ValueError as error:
        if own is None:
            raise
        _log.warning("the template of the page cannot be filled in, so the usual one is shown: %s", error)
        shown = fill(_usual(name), scope, escape=True)
    return Response(shown, status, _headers(shown), "text/html; charset=utf-8")


def notice(
    title: str,
    text: str,
    language: str,
    *,
    button: str = "",
    more: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    """A page with a sentence, perhaps a button that posts to its own address, and a link with its words."""
    place, name = more or ("", "")
    scope = {"locale": language, "title": title, "text": text, "button": button}
    return page({**scope, "more": place, "more_name": name}, "notice", status=status)


def _headers(shown: str) -> dict[str, str]:
    """No script runs, no other page shows it in a frame, and its address, which is a key, is told to nobody."""
    styles = [f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" for style in _STYLE.findall(shown)]
    policy = {
        "default-src": "'none'",
        "style-src": " ".join(styles) or "'none'",
        "img-src": "https: data:",
        "font-src": "https:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex, nofollow",
        "Vary": "Accept-Language",
    }
