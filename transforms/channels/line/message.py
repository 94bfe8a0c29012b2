"""A LINE message: how it is written, read, described and filled in."""

from typing import Any, ClassVar, Self

import msgspec

from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Linking, Rendered, RenderError
from transforms.messages.tracking import TRACKING_SCHEMA, Tracking, read_tracking
from transforms.segments.schema import Schema, has, mapping, ref

__all__ = ["FORM", "LineMessage", "RenderedLine"]

_KEYS = ("text", "messages", "tracking")
#: LINE takes five messages at once: https://developers.line.biz/en/reference/messaging-api/#send-push-message
_MAX_MESSAGES = 5
#: Characters of UTF-16: https://developers.line.biz/en/reference/messaging-api/#text-message
_MAX_TEXT = 5000
#: Where its objects have links, and the longest that it takes.
_URIS, _MAX_URI = {"uri", "linkUri"}, 1000


class RenderedLine(Rendered, frozen=True):
    """LINE's message objects, as its API takes them."""

    messages: list[dict[str, Any]]

    @property
    def summary(self) -> str:
        """The text of the first, else its type."""
        return str(self.messages[0].get("text") or self.messages[0]["type"])

    def linked(self, linking: Linking) -> Self:
        """The same with tracked links: in texts, and where an action or an area leads to the web."""
        messages = [_linked(each, linking) for each in self.messages]
        for each in messages:
            if each.get("type") == "text" and isinstance(each.get("text"), str):
                each["text"] = linking.text(each["text"], whole=len(messages) == 1)
                _check_length(each["text"])
        return msgspec.structs.replace(self, messages=messages)


class LineMessage(Message, frozen=True):
    """A LINE message: `text`, or `messages`, each a tree that is one of LINE's message objects."""

    channel: ClassVar[str] = "line"

    text: Text | None = None
    messages: tuple[Tree, ...] = ()
    tracking: Tracking | None = None

    def fill(self, texts: Filler) -> RenderedLine:
        """The messages for one user."""
        if self.text is None:
            return RenderedLine([texts.tree(f"messages[{place}]", item) for place, item in enumerate(self.messages)])
        text = (texts.body("text", self.text) or "").strip()
        if not text:
            raise RenderError("text: is empty")
        _check_length(text)
        return RenderedLine([{"type": "text", "text": text}])


def _check_length(text: str) -> None:
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > _MAX_TEXT:
        raise RenderError(f"text: LINE takes at most {_MAX_TEXT:,} characters")


def _linked(value: Any, linking: Linking) -> Any:
    """A part of a message object with other links where one leads to the web."""
    if isinstance(value, list):
        return [_linked(each, linking) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _linked(each, linking) for key, each in value.items()}
    for key in _URIS & found.keys():
        if isinstance(found[key], str) and len(url := linking.url(found[key])) <= _MAX_URI:
            found[key] = url
    return found


def _read(reader: MessageReader) -> LineMessage:
    problems = reader.problems
    fields = reader.open(_KEYS)
    if len(fields.keys() & {"text", "messages"}) != 1:
        problems.add(reader.node, "a LINE message has `text` or `messages`")
    items = reader.at("messages", lambda messages: problems.sequence(messages, "messages")) or []
    if len(items) > _MAX_MESSAGES:
        problems.add(fields["messages"], f"LINE takes at most {_MAX_MESSAGES} messages at once")
    for item in items:
        if not isinstance(item.value, dict) or "type" not in item.value:
            problems.add(item, "expected one of LINE's message objects, such as {type: text, text: …}")
    tracking = reader.at("tracking", lambda node: read_tracking(node, problems))
    text = reader.at("text", reader.texts.text)
    return LineMessage(reader.name, text, tuple(map(reader.texts.tree, items)), tracking)


def _schema() -> Schema:
    item = {"type": "object", **has("type"), "description": "one of LINE's message objects; texts are templates"}
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": _MAX_MESSAGES}
    return mapping(
        {"channel": {"const": "line"}, "text": ref("text"), "messages": items, "tracking": TRACKING_SCHEMA},
        oneOf=[has("text"), has("messages")],
    )


FORM = MessageForm(_KEYS, _read, _schema)
