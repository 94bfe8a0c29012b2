"""A page as a message: how it is written, read, described and filled in."""

from typing import ClassVar

from transforms.events.plain import quoted
from transforms.messages.definitions import Message, Text
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered, RenderError
from transforms.segments.schema import Schema, mapping, ref

__all__ = ["FORM", "PageMessage", "RenderedPage"]

_KEYS = ("text", "urgent")
#: What a pager shows.
_MAX_TEXT = 80


class RenderedPage(Rendered, frozen=True):
    """A page for one user."""

    text: str
    urgent: bool

    @property
    def summary(self) -> str:
        """The text."""
        return self.text


class PageMessage(Message, frozen=True):
    """A page; `urgent` lets the pager ring."""

    channel: ClassVar[str] = "pager"

    text: Text | None = None
    urgent: bool = False

    def fill(self, texts: Filler) -> RenderedPage:
        """The page for one user."""
        text = texts.line("text", self.text)
        if text is None or len(text) > _MAX_TEXT:
            raise RenderError(f"text: expected 1 to {_MAX_TEXT} characters; found {quoted(text)}")
        return RenderedPage(text, self.urgent)


def _read(reader: MessageReader) -> PageMessage:
    reader.open(_KEYS, required=("text",))
    urgent = reader.at("urgent", reader.problems.boolean) or False
    return PageMessage(reader.name, reader.at("text", reader.texts.text), urgent)


def _schema() -> Schema:
    return mapping({"channel": {"const": "pager"}, "text": ref("text"), "urgent": {"type": "boolean"}}, ["text"])


FORM = MessageForm(_KEYS, _read, _schema)
