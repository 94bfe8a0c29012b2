"""The `messages:` section of definition files; every template is checked here."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from transforms.identity.mailbox import named_mailbox
from transforms.messages.definitions import (
    CHANNELS,
    DEVICES,
    HEADER_FORM,
    INBOX_TEXTS,
    LOCALE_FORM,
    MAIL_TEXTS,
    MAX_BADGE,
    MAX_LINE_MESSAGES,
    PRIORITIES,
    PUSH_PARTS,
    PUSH_SETTINGS,
    PUSH_TEXTS,
    RESERVED_FORM,
    InboxMessage,
    LineMessage,
    MailMessage,
    Message,
    PushMessage,
    Text,
    Tree,
    WebhookMessage,
    locale_key,
)
from transforms.messages.markup import compile_mjml
from transforms.segments.document import Document, Node, Problems
from transforms.segments.operators import read_duration
from transforms.segments.values import SECOND

__all__ = ["read_messages"]

#: FCM keeps a message for at most four weeks:
#: https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan
_TTL_SECONDS = 28 * 86400

#: The keys of messages of any channel.
_KEYS = (*PUSH_TEXTS, *PUSH_SETTINGS, *PUSH_PARTS, *MAIL_TEXTS, "messages", "url", "headers", "expires")

_LOCALE = re.compile(LOCALE_FORM)
_RESERVED = re.compile(RESERVED_FORM)
_HEADER = re.compile(HEADER_FORM)

_Read = TypeVar("_Read")


def read_messages(node: Node, given: Mapping[str, Collection[str]], problems: Problems) -> dict[str, Message]:
    """The messages of a definitions file by id; mistakes go to `problems`.

    A message with mistakes is in the answer too, as far as it could be read, so that references to it are not
    reported a second time.

    Args:
      given: the names that templates may use beside their scope, by message: those under `with` of its campaigns.
    """
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of message ids to messages; found {node.kind}")
        return {}
    messages: dict[str, Message] = {}
    for name, child in node.value.items():
        problems.check_id(name, child)
        if message := _Reader(name, child, given.get(name, ()), problems).read():
            messages[name] = message
    return messages


class _Reader:
    """Reads one message."""

    def __init__(self, name: str, node: Node, given: Collection[str], problems: Problems) -> None:
        self.name = name
        self.node = node
        self.given = given
        self.problems = problems
        self.fields: Document = {}

    def read(self) -> Message | None:
        channel = self.node.value.get("channel") if isinstance(self.node.value, dict) else None
        if channel is None:
            self.problems.mapping(self.node, ("channel", *_KEYS), required=("channel",))
            return None
        chosen = self.problems.choice(channel, CHANNELS)
        return None if chosen is None else _READ[chosen](self)

    def push(self) -> PushMessage:
        fields = self._fields((*PUSH_TEXTS, *PUSH_SETTINGS, *PUSH_PARTS))
        if "title" not in fields and "body" not in fields:
            self.problems.add(self.node, "a push needs `title` or `body`")
        data = self._at("data", self._data) or {}
        if "deep_link" in data and "deep_link" in fields:
            self.problems.add(fields["data"], "`deep_link` is given in `data` and beside it")
        return PushMessage(
            id=self.name,
            **self._texts(PUSH_TEXTS),
            data=data,
            badge=self._at("badge", lambda badge: self.problems.integer(badge, 0, MAX_BADGE)),
            ttl=self._at("ttl", self._ttl),
            priority=self._at("priority", lambda priority: self.problems.choice(priority, PRIORITIES)),
            devices=self._at("devices", lambda devices: self.problems.choice(devices, DEVICES)) or "all",
            parts={key: self._object(fields[key]) for key in PUSH_PARTS if key in fields},
        )

    def email(self) -> MailMessage:
        fields = self._fields(MAIL_TEXTS, required=("subject",))
        if not fields.keys() & {"html", "mjml", "text"}:
            self.problems.add(self.node, "a mail needs a body: `html`, `mjml` or `text`")
        if "html" in fields and "mjml" in fields:
            self.problems.add(fields["mjml"], "a mail has `html` or `mjml`, not both")
        if "preheader" in fields and not fields.keys() & {"html", "mjml"}:
            cause = "`preheader` needs `html` or `mjml`: it is hidden text before the body"
            self.problems.add(fields["preheader"], cause)
        texts = self._texts(MAIL_TEXTS)
        for key in sorted({"from", "reply_to"} & fields.keys()):
            self._check_mailbox(fields[key])
        return MailMessage(id=self.name, sender=texts.pop("from", None), **texts)

    def line(self) -> LineMessage:
        fields = self._fields(("text", "messages"))
        if len(fields.keys() & {"text", "messages"}) != 1:
            self.problems.add(self.node, "a LINE message has `text` or `messages`")
        items = self._at("messages", lambda messages: self.problems.sequence(messages, "messages")) or []
        if len(items) > MAX_LINE_MESSAGES:
            self.problems.add(fields["messages"], f"LINE takes at most {MAX_LINE_MESSAGES} messages at once")
        for item in items:
            if not isinstance(item.value, dict) or "type" not in item.value:
                self.problems.add(item, "expected one of LINE's message objects, such as {type: text, text: …}")
        return LineMessage(self.name, self._at("text", self._text), tuple(self._tree(item) for item in items))

    def webhook(self) -> WebhookMessage:
        self._fields(("url", "body", "headers"), required=("url", "body"))
        headers = self._at("headers", self._headers) or {}
        body = self._at("body", self._tree)
        url = self._at("url", partial(self._text, secrets=True)) or Text({})
        return WebhookMessage(self.name, url, body, headers)

    def inbox(self) -> InboxMessage:
        fields = self._fields((*INBOX_TEXTS, "data", "expires"))
        if "title" not in fields and "body" not in fields:
            self.problems.add(self.node, "an inbox message needs `title` or `body`")
        expires = self._at("expires", lambda expires: read_duration(expires, self.problems))
        return InboxMessage(
            id=self.name,
            **self._texts(INBOX_TEXTS),
            data=self._at("data", self._object) or {},
            expires=None if expires is None else expires // SECOND,
        )

    def _fields(self, keys: tuple[str, ...], required: tuple[str, ...] = ()) -> Document:
        self.fields = self.problems.mapping(self.node, ("channel", *keys), required=required) or {}
        return self.fields

    def _at(self, key: str, how: Callable[[Node], _Read | None]) -> _Read | None:
        return how(self.fields[key]) if key in self.fields else None

    def _texts(self, keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: self._text(self.fields[key], mjml=key == "mjml") for key in keys if key in self.fields}

    def _text(self, node: Node, *, mjml: bool = False, secrets: bool = False) -> Text | None:
        """Text, or a map of locales to texts."""
        if not isinstance(node.value, dict):
            source = self._source(node, mjml=mjml, secrets=secrets)
            return None if source is None else Text({"": source})
        if not node.value:
            self.problems.add(node, "expected text, or texts by locale such as {en: …, ja: …}; found an empty mapping")
            return None
        sources: dict[str, str] = {}
        for locale, child in node.value.items():
            if not _LOCALE.fullmatch(locale):
                self.problems.add(child, f"`{locale}` is not a locale such as en, ja or pt-BR")
            elif locale_key(locale) in sources:
                self.problems.add(child, f"the locale `{locale}` is given twice")
            elif source := self._source(child, mjml=mjml, secrets=secrets):
                sources[locale_key(locale)] = source
        return Text(sources)

    def _source(self, node: Node, *, mjml: bool, secrets: bool) -> str | None:
        source = self.problems.text(node)
        if source is None:
            return None
        found = self._mistakes(source, secrets=secrets)
        if mjml and not found:
            try:
                source = compile_mjml(source)
            except ValueError as error:
                found = [str(error)]
            else:
                found = [f"after MJML: {cause}" for cause in self._mistakes(source)]
        for cause in found:
            self.problems.add(node, cause)
        return source

    def _mistakes(self, source: str, *, secrets: bool = False) -> list[str]:
        from transforms.messages.liquid import mistakes  # noqa: PLC0415 - a tenth of a second that only messages need

        return list(mistakes(source, self.given, secrets=secrets))

    def _check_mailbox(self, node: Node) -> None:
        """Check a sender, in each locale, as far as it can be seen before it is filled in."""
        if isinstance(node.value, dict):
            for child in node.value.values():
                self._check_mailbox(child)
        elif isinstance(node.value, str):
            # Where Liquid makes the name alone, the mailbox can be seen.
            seen = node.value if "{" not in node.value else "".join(node.value.rpartition("<")[1:])
            if "{" not in seen and named_mailbox(seen) is None:
                cause = f"expected a mailbox, such as Shop <shop@example.com>; found {node.value!r}"
                self.problems.add(node, cause)

    def _tree(self, node: Node) -> Tree:
        """What JSON can hold; texts in it are templates, and none is by locale."""
        if isinstance(node.value, dict):
            return {key: self._tree(child) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [self._tree(child) for child in node.value]
        if not isinstance(node.value, str):
            return node.value
        for cause in self._mistakes(node.value):
            self.problems.add(node, cause)
        return Text({"": node.value})

    def _object(self, node: Node) -> dict[str, Tree]:
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping; found {node.kind}")
            return {}
        tree: dict[str, Tree] = self._tree(node)
        return tree

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
            elif text := self._text(child):
                data[key] = text
        return data

    def _headers(self, node: Node) -> dict[str, Text] | None:
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping of header names to texts; found {node.kind}")
            return None
        for name, child in node.value.items():
            if not _HEADER.fullmatch(name):
                self.problems.add(child, f"`{name}` is no header that can be set")
        read = {name: self._text(child, secrets=True) for name, child in node.value.items()}
        return {name: text for name, text in read.items() if text is not None}

    def _ttl(self, node: Node) -> int | None:
        length = read_duration(node, self.problems)
        if length is not None and length > _TTL_SECONDS * SECOND:
            self.problems.add(node, "FCM keeps a message for at most four weeks (4w)")
            return None
        return None if length is None else length // SECOND


_READ: dict[str, Callable[[_Reader], Message]] = {
    "push": _Reader.push,
    "email": _Reader.email,
    "line": _Reader.line,
    "webhook": _Reader.webhook,
    "inbox": _Reader.inbox,
}
