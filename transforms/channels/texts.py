"""What messages of several channels have in common."""

from collections.abc import Iterable, Mapping

from transforms.messages.definitions import Text
from transforms.messages.render import Filler, RenderError
from transforms.segments.schema import Schema, ref

__all__ = ["shown", "text_schemas"]


def shown(texts: Filler, title: Text | None, body: Text | None) -> tuple[str, str]:
    """A title and a body, filled in.

    Raises:
      RenderError: both are empty, or one cannot be filled in.
    """
    found = (texts.body("title", title) or "").strip(), (texts.body("body", body) or "").strip()
    if not any(found):
        raise RenderError("title, body: both are empty")
    return found


def text_schemas(names: Iterable[str], meanings: Mapping[str, str]) -> dict[str, Schema]:
    """The schemas of templates by their keys, some with what they mean."""
    return {name: {**ref("text"), "description": meanings[name]} if name in meanings else ref("text") for name in names}
