"""A push as a message: how it is written, read, described and filled in."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from transforms.channels.texts import shown, text_schemas
from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered
from transforms.segments.document import Node
from transforms.segments.operators import read_duration
from transforms.segments.schema import DURATION, Schema, has, mapping, ref
from transforms.segments.values import SECOND

__all__ = ["FORM", "PushMessage", "RenderedPush"]

#: Keys of `data` that FCM refuses: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
_RESERVED_FORM = r"(from|message_type|google.*|gcm.*)"
_RESERVED = re.compile(_RESERVED_FORM)
#: FCM keeps a message for at most four weeks:
#: https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan
_TTL_SECONDS = 28 * 86400
#: A badge shows up to that.
_MAX_BADGE = 99_999

_PRIORITIES = ("high", "normal")
_DEVICES = ("all", "latest")
_TEXTS = ("title", "body", "image", "deep_link", "sound", "collapse_key")
_SETTINGS = ("data", "badge", "ttl", "priority", "devices")
#: Parts of FCM's own message, which take the place of what is made of the other fields.
_PARTS = ("android", "apns", "web")
_KEYS = (*_TEXTS, *_SETTINGS, *_PARTS)


class RenderedPush(Rendered, frozen=True):
    """A push ready for FCM. `data` holds the deep link under `deep_link`; `ttl` is in seconds; `parts` are FCM's own
    blocks `android`, `apns` and `web`.
    """

    title: str
    body: str
    data: dict[str, str] = msgspec.field(default_factory=dict)
    image: str | None = None
    sound: str | None = None
    collapse_key: str | None = None
    badge: int | None = None
    ttl: int | None = None
    priority: str | None = None
    parts: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The title, else the body."""
        return self.title or self.body


class PushMessage(Message, frozen=True):
    """A push notification. `ttl` is in seconds; `devices` says which of a user's tokens get it.

    `parts` are trees by the names of FCM's own blocks.
    """

    channel: ClassVar[str] = "push"

    title: Text | None = None
    body: Text | None = None
    data: dict[str, Text] = msgspec.field(default_factory=dict)
    image: Text | None = None
    deep_link: Text | None = None
    sound: Text | None = None
    collapse_key: Text | None = None
    badge: int | None = None
    ttl: int | None = None
    priority: str | None = None
    devices: str = "all"
    parts: dict[str, Tree] = msgspec.field(default_factory=dict)

    def fill(self, texts: Filler) -> RenderedPush:
        """The push for one user."""
        title, body = shown(texts, self.title, self.body)
        data = texts.tree("data", self.data)
        if deep_link := texts.line("deep_link", self.deep_link):
            data["deep_link"] = deep_link
        return RenderedPush(
            title=title,
            body=body,
            data=data,
            image=texts.line("image", self.image),
            sound=texts.line("sound", self.sound),
            collapse_key=texts.line("collapse_key", self.collapse_key),
            badge=self.badge,
            ttl=self.ttl,
            priority=self.priority,
            parts=texts.tree("", self.parts),
        )

    def receivers(self, addresses: Sequence[str]) -> Sequence[str]:
        """All devices, or the one that was registered last."""
        return addresses[:1] if self.devices == "latest" else addresses


class _Reader:
    def __init__(self, reader: MessageReader) -> None:
        self.reader = reader
        self.problems = reader.problems

    def read(self) -> PushMessage:
        fields = self.reader.open(_KEYS)
        if "title" not in fields and "body" not in fields:
            self.problems.add(self.reader.node, "a push needs `title` or `body`")
        data = self.reader.at("data", self._data) or {}
        if "deep_link" in data and "deep_link" in fields:
            self.problems.add(fields["data"], "`deep_link` is given in `data` and beside it")
        return PushMessage(
            id=self.reader.name,
            **self.reader.all_texts(_TEXTS),
            data=data,
            badge=self.reader.at("badge", lambda badge: self.problems.integer(badge, 0, _MAX_BADGE)),
            ttl=self.reader.at("ttl", self._ttl),
            priority=self.reader.at("priority", lambda priority: self.problems.choice(priority, _PRIORITIES)),
            devices=self.reader.at("devices", lambda devices: self.problems.choice(devices, _DEVICES)) or "all",
            parts={key: self.reader.tree(fields[key]) for key in _PARTS if key in fields},
        )

    def _data(self, node: Node) -> dict[str, Text] | None:
        """FCM's data holds text only; numbers and booleans are written as JSON writes them."""
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping of keys to texts; found {node.kind}")
            return None
        data: dict[str, Text] = {}
        for key, child in node.value.items():
            if _RESERVED.fullmatch(key):
                self.problems.add(child, f"`{key}` is reserved by FCM: not from, message_type, google… or gcm…")
            if isinstance(child.value, (bool, int, float)):
                data[key] = Text({"": msgspec.json.encode(child.value).decode()})
            elif text := self.reader.texts.text(child):
                data[key] = text
        return data

    def _ttl(self, node: Node) -> int | None:
        length = read_duration(node, self.problems)
        if length is not None and length > _TTL_SECONDS * SECOND:
            self.problems.add(node, "FCM keeps a message for at most four weeks (4w)")
            return None
        return None if length is None else length // SECOND


_MEANINGS = {
    "title": "one of this and `body` is needed",
    "body": "one of this and `title` is needed",
    "image": "the address of a picture",
    "deep_link": "arrives as `deep_link` among the data",
    "collapse_key": "a later push with the same key takes the place of this one",
}


def _schema() -> Schema:
    settings: dict[str, Schema] = {
        "data": {
            "type": "object",
            "description": "what the app gets beside; numbers and booleans are written as JSON writes them",
            "propertyNames": {"not": {"pattern": f"^{_RESERVED_FORM}$"}},
            "additionalProperties": {"anyOf": [ref("text"), {"type": ["number", "boolean"]}]},
        },
        "badge": {"type": "integer", "minimum": 0, "maximum": _MAX_BADGE},
        "ttl": {**DURATION, "description": "how long the provider may try; at most 4w"},
        "priority": {"enum": list(_PRIORITIES)},
        "devices": {"enum": list(_DEVICES), "description": "which of the user's devices; default: all"},
    }
    return mapping(
        {
            "channel": {"const": "push"},
            **text_schemas(_TEXTS, _MEANINGS),
            **{name: settings[name] for name in _SETTINGS},
            **{name: {"type": "object", "description": "FCM's own block"} for name in _PARTS},
        },
        anyOf=[has("title"), has("body")],
        **{"not": {**has("deep_link", "data"), "properties": {"data": has("deep_link")}}},
    )


FORM = MessageForm(_KEYS, lambda reader: _Reader(reader).read(), _schema)
