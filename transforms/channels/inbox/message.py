"""An inbox message: how it is written, read, described and filled in."""

from typing import Any, ClassVar

import msgspec

from transforms.channels.texts import shown, text_schemas
from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered
from transforms.segments.operators import read_duration
from transforms.segments.schema import DURATION, Schema, has, mapping
from transforms.segments.values import SECOND

__all__ = ["FORM", "InboxMessage", "RenderedInbox"]

_TEXTS = ("title", "body", "image", "deep_link")
_KEYS = (*_TEXTS, "data", "expires")


class RenderedInbox(Rendered, frozen=True):
    """What an app shows in its inbox; `expires` is in seconds from the hand-over on."""

    title: str
    body: str
    image: str | None = None
    deep_link: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    expires: int | None = None

    @property
    def summary(self) -> str:
        """The title, else the body."""
        return self.title or self.body


class InboxMessage(Message, frozen=True):
    """What an app shows in its inbox. `data` holds trees; `expires` is in seconds from the hand-over on."""

    channel: ClassVar[str] = "inbox"

    title: Text | None = None
    body: Text | None = None
    image: Text | None = None
    deep_link: Text | None = None
    data: dict[str, Tree] = msgspec.field(default_factory=dict)
    expires: int | None = None

    def fill(self, texts: Filler) -> RenderedInbox:
        """The message for one user."""
        title, body = shown(texts, self.title, self.body)
        return RenderedInbox(
            title=title,
            body=body,
            image=texts.line("image", self.image),
            deep_link=texts.line("deep_link", self.deep_link),
            data=texts.tree("data", self.data),
            expires=self.expires,
        )


def _read(reader: MessageReader) -> InboxMessage:
    fields = reader.open(_KEYS)
    if "title" not in fields and "body" not in fields:
        reader.problems.add(reader.node, "an inbox message needs `title` or `body`")
    expires = reader.at("expires", lambda expires: read_duration(expires, reader.problems))
    return InboxMessage(
        id=reader.name,
        **reader.all_texts(_TEXTS),
        data=reader.at("data", reader.tree) or {},
        expires=None if expires is None else expires // SECOND,
    )


_MEANINGS = {
    "title": "one of this and `body` is needed",
    "body": "one of this and `title` is needed",
    "image": "the address of a picture",
    "deep_link": "arrives as `deep_link` among the data",
}


def _schema() -> Schema:
    return mapping(
        {
            "channel": {"const": "inbox"},
            **text_schemas(_TEXTS, _MEANINGS),
            "data": {"type": "object", "description": "what the app gets beside; texts in it are templates"},
            "expires": {**DURATION, "description": "when the inbox no longer shows it"},
        },
        anyOf=[has("title"), has("body")],
    )


FORM = MessageForm(_KEYS, _read, _schema)
