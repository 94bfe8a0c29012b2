"""The `messages:` section of definition files; every template is checked here."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from transforms.events.plain import without_user
from transforms.messages.definitions import (
    CHANNELS,
    DEVICES,
    HEADER_FORM,
    INBOX_TEXTS,
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
)
from transforms.messages.grammar_texts import TextReader
from transforms.messages.web_address import web_address
from transforms.segments.document import Document, Node, Problems
from transforms.segments.operators import read_duration
from transforms.segments.values import SECOND

if TYPE_CHECKING:
    from transforms.messages.needs import Need

__all__ = ["read_messages"]

#: FCM keeps a message for at most four weeks:
#: https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan
_TTL_SECONDS = 28 * 86400

#: The keys of messages of any channel.
_KEYS = (*PUSH_TEXTS, *PUSH_SETTINGS, *PUSH_PARTS, *MAIL_TEXTS, "messages", "url", "headers", "expires")

#: What ends a line of a header, as when it is rendered.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_FILES: Mapping[str, str] = {}
_RESERVED = re.compile(RESERVED_FORM)
_HEADER = re.compile(HEADER_FORM)

_Read = TypeVar("_Read")


def read_messages(
    node: Node,
    given: Mapping[str, Collection[str]],
    problems: Problems,
    files: Mapping[str, str] = _NO_FILES,
    needs: "list[Need] | None" = None,
) -> dict[str, Message]:
    """The messages of a definitions file by id; mistakes go to `problems`.

    A message with mistakes is in the answer too, as far as it could be read, so that references to it are not
    reported a second time.

    Args:
      given: the names that templates may use beside their scope, by message: those under `with` of its campaigns.
      files: the texts beside the definitions, by file.
      needs: the variables that messages need are added, where somebody asks for them.
    """
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of message ids to messages; found {node.kind}")
        return {}
    messages: dict[str, Message] = {}
    for name, child in node.value.items():
        problems.check_id(name, child)
        texts = TextReader(given.get(name, ()), files, problems, needs)
        if message := _Reader(name, child, texts, problems).read():
            messages[name] = message
    return messages


class _Reader:
    """Reads one message."""

    def __init__(self, name: str, node: Node, texts: TextReader, problems: Problems) -> None:
        self.name = name
        self.node = node
        self.texts = texts
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
        if "subject" in fields:
            self.texts.check_literal(fields["subject"], _breaks)
        for key in sorted({"from", "reply_to"} & fields.keys()):
            self.texts.check_mailbox(fields[key])
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
        return LineMessage(self.name, self._at("text", self.texts.text), tuple(self.texts.tree(item) for item in items))

    def webhook(self) -> WebhookMessage:
        self._fields(("url", "body", "headers"), required=("url", "body"))
        headers = self._at("headers", self._headers) or {}
        body = self._at("body", self.texts.tree)
        url = self._at("url", partial(self.texts.text, secrets=True)) or Text({})
        if "url" in self.fields:
            self.texts.check_literal(self.fields["url"], _no_address)
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
        return {key: self.texts.text(self.fields[key], mjml=key == "mjml") for key in keys if key in self.fields}

    def _object(self, node: Node) -> dict[str, Tree]:
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping; found {node.kind}")
            return {}
        tree: dict[str, Tree] = self.texts.tree(node)
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
            elif text := self.texts.text(child):
                data[key] = text
        return data

    def _headers(self, node: Node) -> dict[str, Text] | None:
        if not isinstance(node.value, dict):
            self.problems.add(node, f"expected a mapping of header names to texts; found {node.kind}")
            return None
        for name, child in node.value.items():
            if not _HEADER.fullmatch(name):
                self.problems.add(child, f"`{name}` is no header that can be set")
        read = {name: self.texts.text(child, secrets=True) for name, child in node.value.items()}
        return {name: text for name, text in read.items() if text is not None}

    def _ttl(self, node: Node) -> int | None:
        length = read_duration(node, self.problems)
        if length is not None and length > _TTL_SECONDS * SECOND:
            self.problems.add(node, "FCM keeps a message for at most four weeks (4w)")
            return None
        return None if length is None else length // SECOND


def _no_address(url: str) -> str | None:
    """Why a webhook's URL cannot be called; none while Liquid has still to make it."""
    if "{" in url:
        wrong = re.match(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*)://", url)
        return (
            f"expected http:// or https://; found {wrong[1]}://"
            if wrong and wrong[1] not in ("http", "https")
            else None
        )
    return None if web_address(url.strip()) else f"expected https://… with a host; found {without_user(url)[:80]!r}"


def _breaks(subject: str) -> str | None:
    """Why a subject cannot stand in one line."""
    liquid = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
    found = _BREAKS.search(liquid.sub("", subject).strip())
    return "a subject is one line: it holds a line break or control character" if found else None


_READ: dict[str, Callable[[_Reader], Message]] = {
    "push": _Reader.push,
    "email": _Reader.email,
    "line": _Reader.line,
    "webhook": _Reader.webhook,
    "inbox": _Reader.inbox,
}
