"""A LINE message: how it is written, read, described and filled in."""

from typing import Any, ClassVar

from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered, RenderError
from transforms.segments.schema import Schema, has, mapping, ref

__all__ = ["FORM", "LineMessage", "RenderedLine"]

_KEYS = ("text", "messages")
#: LINE takes five messages at once: https://developers.line.biz/en/reference/messaging-api/#send-push-message
_MAX_MESSAGES = 5
#: Characters of UTF-16: https://developers.line.biz/en/reference/messaging-api/#text-message
_MAX_TEXT = 5000


class RenderedLine(Rendered, frozen=True):
    """LINE's message objects, as its API takes them."""

    messages: list[dict[str, Any]]

    @property
    def summary(self) -> str:
        """The text of the first, else its type."""
        return str(self.messages[0].get("text") or self.messages[0]["type"])


class LineMessage(Message, frozen=True):
    """A LINE message: `text`, or `messages`, each a tree that is one of LINE's message objects."""

    channel: ClassVar[str] = "line"

    text: Text | None = None
    messages: tuple[Tree, ...] = ()

    def fill(self, texts: Filler) -> RenderedLine:
        """The messages for one user."""
        if self.text is None:
            return RenderedLine([texts.tree(f"messages[{place}]", item) for place, item in enumerate(self.messages)])
        text = (texts.body("text", self.text) or "").strip()
        if not text:
            raise RenderError("text: is empty")
        if len(text.encode("utf-16-le")) // 2 > _MAX_TEXT:
            raise RenderError(f"text: LINE takes at most {_MAX_TEXT:,} characters")
        return RenderedLine([{"type": "text", "text": text}])


def _read(reader: MessageReader) -> LineMessage:
    problems = reader.problems
    fields = reader.open(_KEYS)
    if len(fields.keys() & {*_KEYS}) != 1:
        problems.add(reader.node, "a LINE message has `text` or `messages`")
    items = reader.at("messages", lambda messages: problems.sequence(messages, "messages")) or []
    if len(items) > _MAX_MESSAGES:
        problems.add(fields["messages"], f"LINE takes at most {_MAX_MESSAGES} messages at once")
    for item in items:
        if not isinstance(item.value, dict) or "type" not in item.value:
            problems.add(item, "expected one of LINE's message objects, such as {type: text, text: …}")
    return LineMessage(reader.name, reader.at("text", reader.texts.text), tuple(map(reader.texts.tree, items)))


def _schema() -> Schema:
    item = {"type": "object", **has("type"), "description": "one of LINE's message objects; texts are templates"}
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": _MAX_MESSAGES}
    return mapping(
        {"channel": {"const": "line"}, "text": ref("text"), "messages": items},
        oneOf=[has("text"), has("messages")],
    )


FORM = MessageForm(_KEYS, _read, _schema)
