"""An inbox message: how it is written, read, described and filled in."""

import re
from typing import Any, ClassVar

import msgspec

from transforms.channels.texts import shown, text_schemas
from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered
from transforms.segments.document import Node, Problems
from transforms.segments.operators import read_duration
from transforms.segments.schema import DURATION, Schema, has, mapping
from transforms.segments.values import SECOND

__all__ = ["FORM", "PLACEMENT", "InboxMessage", "RenderedInbox", "ShownOn"]

#: Where an app shows a message: a name, as ids are.
PLACEMENT = "[a-z][a-z0-9_]{0,63}"

_TEXTS = ("title", "body", "image", "deep_link")
_KEYS = (*_TEXTS, "data", "expires", "placement", "trigger")
_TRIGGERS = ("event", "screen", "page")
_PLACED = re.compile(PLACEMENT)


class ShownOn(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an app shows a message that has a placement: at an event, a screen or a page of that name, else at once; so
    many seconds later.
    """

    event: str | None = None
    screen: str | None = None
    page: str | None = None
    after: int = 0


class RenderedInbox(Rendered, frozen=True):
    """What an app shows in its inbox; `expires` is in seconds from the hand-over on, `locale` that of the text, empty
    where it has none.
    """

    title: str
    body: str
    image: str | None = None
    deep_link: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    expires: int | None = None
    placement: str = ""
    trigger: ShownOn | None = None
    locale: str = ""

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
    placement: str = ""
    trigger: ShownOn | None = None

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
            placement=self.placement,
            trigger=self.trigger,
            locale=next((texts.locale("text", text) for text in (self.title, self.body) if text is not None), ""),
        )


def _read(reader: MessageReader) -> InboxMessage:
    fields = reader.open(_KEYS)
    if "title" not in fields and "body" not in fields:
        reader.problems.add(reader.node, "an inbox message needs `title` or `body`")
    if "trigger" in fields and "placement" not in fields:
        reader.problems.add(fields["trigger"], "a message with a `trigger` needs a `placement`")
    expires = reader.at("expires", lambda expires: read_duration(expires, reader.problems))
    return InboxMessage(
        id=reader.name,
        **reader.all_texts(_TEXTS),
        data=reader.at("data", reader.tree) or {},
        expires=None if expires is None else expires // SECOND,
        placement=reader.at("placement", lambda placement: _placement(placement, reader.problems)) or "",
        trigger=reader.at("trigger", lambda trigger: _trigger(trigger, reader.problems)),
    )


def _placement(node: Node, problems: Problems) -> str | None:
    if not isinstance(node.value, str) or not _PLACED.fullmatch(node.value):
        problems.add(node, "expected a name of lower-case letters, digits and _, such as home_banner")
        return None
    return node.value


def _trigger(node: Node, problems: Problems) -> ShownOn | None:
    said = problems.mapping(node, (*_TRIGGERS, "after")) or {}
    named = [name for name in _TRIGGERS if name in said]
    if not said or len(named) > 1:
        problems.add(node, "expected one of `event`, `screen` and `page`, or `after`, or both")
    after = read_duration(said["after"], problems) if "after" in said else None
    names: dict[str, str] = {}
    for name in named:
        value = said[name].value
        if isinstance(value, str) and value:
            names[name] = value
        else:
            problems.add(said[name], f"expected the name of the {name}")
    return ShownOn(**names, after=(after or 0) // SECOND)


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
            "placement": {
                "type": "string",
                "pattern": f"^{PLACEMENT}$",
                "description": "where the app shows it; without one, in the list of messages",
            },
            "trigger": {
                **mapping(
                    {**{name: {"type": "string", "minLength": 1} for name in _TRIGGERS}, "after": DURATION},
                    minProperties=1,
                    oneOf=[has(name) for name in _TRIGGERS] + [{"not": {"anyOf": [has(name) for name in _TRIGGERS]}}],
                ),
                "description": "when the app shows what has a placement; without one, at once",
            },
        },
        anyOf=[has("title"), has("body")],
        dependentRequired={"trigger": ["placement"]},
    )


FORM = MessageForm(_KEYS, _read, _schema)
