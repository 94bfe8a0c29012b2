"""A webhook as a message: how it is written, read, described and filled in."""

import re
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import msgspec

from transforms.events.plain import quoted, without_user
from transforms.messages.definitions import Message, Text, Tree
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered, RenderError
from transforms.messages.secrets import MASK, MASKS, holds_secrets
from transforms.messages.web_address import web_address
from transforms.segments.document import Node
from transforms.segments.schema import Schema, mapping, ref

__all__ = ["FORM", "Called", "RenderedWebhook", "WebhookMessage"]

_KEYS = ("url", "body", "headers")


def _any_case(name: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in name)


#: Header names, as RFC 9110 (5.6.2) has them, but for those that say how the body is sent and who sent it. JavaScript,
#: in which editors read schemas, knows no pattern for letters of any case.
_HEADER_FORM = (
    f"(?!({_any_case('host')}|{_any_case('content')}-{_any_case('length')}|{_any_case('connection')}"
    f"|{_any_case('transfer')}-{_any_case('encoding')}|{_any_case('webhook')}-.*)$)[A-Za-z0-9!#$%&'*+.^_`|~-]+"
)
_HEADER = re.compile(_HEADER_FORM)


class Called(msgspec.Struct, frozen=True):
    """Where a call with secrets really goes, and its headers. It is shown to nobody."""

    url: str
    headers: dict[str, str]

    def __repr__(self) -> str:
        return MASK


class RenderedWebhook(Rendered, frozen=True):
    """A call: `body` is text, or JSON where `json` says so.

    With secrets `url` and `headers` have masks in their place, and `called`, where calls are made, has the secrets.
    """

    url: str
    body: str
    json: bool
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    called: Called | None = None

    @property
    def summary(self) -> str:
        """The URL."""
        return self.url


class WebhookMessage(Message, frozen=True):
    """A call of a server by POST. `body` is a `Text`, or a tree that goes out as JSON."""

    channel: ClassVar[str] = "webhook"

    url: Text
    body: Tree
    headers: dict[str, Text] = msgspec.field(default_factory=dict)

    def fill(self, texts: Filler) -> RenderedWebhook:
        """The call for one user."""
        body, is_text = texts.tree("body", self.body), isinstance(self.body, Text)
        written = body if is_text else msgspec.json.encode(body).decode()
        if not holds_secrets(self):
            return RenderedWebhook(self._address(texts), written, not is_text, self._headers(texts))
        masked = texts.with_secrets(MASKS)
        url, headers = masked.line("url", self.url) or "", self._headers(masked)
        called = None if texts.secrets is None else self._called(texts.with_secrets(texts.secrets))
        return RenderedWebhook(url, written, not is_text, headers, called)

    def private(self) -> Sequence[Text]:
        """The URL and the headers."""
        return self.url, *self.headers.values()

    def _called(self, texts: Filler) -> Called:
        try:
            return Called(self._address(texts), self._headers(texts))
        except RenderError:  # whose text may quote a secret
            cause = "url, headers: a secret is missing, or holds what they cannot"
        raise RenderError(cause)

    def _address(self, texts: Filler) -> str:
        written = texts.line("url", self.url) or ""
        url = web_address(written)
        if url is None:
            raise RenderError(f"url: expected https://… with a host; found {quoted(without_user(written))}")
        return url

    def _headers(self, texts: Filler) -> dict[str, str]:
        return {name: texts.line(f"headers.{name}", text) or "" for name, text in self.headers.items()}


def _read(reader: MessageReader) -> WebhookMessage:
    fields = reader.open(_KEYS, required=("url", "body"))
    headers = reader.at("headers", partial(_read_headers, reader)) or {}
    body = reader.at("body", reader.texts.tree)
    url = reader.at("url", partial(reader.texts.text, secrets=True)) or Text({})
    if "url" in fields:
        reader.texts.check_literal(fields["url"], _no_address)
    return WebhookMessage(reader.name, url, body, headers)


def _read_headers(reader: MessageReader, node: Node) -> dict[str, Text] | None:
    if not isinstance(node.value, dict):
        reader.problems.add(node, f"expected a mapping of header names to texts; found {node.kind}")
        return None
    for name, child in node.value.items():
        if not _HEADER.fullmatch(name):
            reader.problems.add(child, f"`{name}` is no header that can be set")
    read = {name: reader.texts.text(child, secrets=True) for name, child in node.value.items()}
    return {name: text for name, text in read.items() if text is not None}


def _no_address(url: str) -> str | None:
    """Why a webhook's URL cannot be called; none while Liquid has still to make it."""
    if "{" in url:
        wrong = re.match(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*)://", url)
        return (
            f"expected http:// or https://; found {wrong[1]}://"
            if wrong and wrong[1] not in ("http", "https")
            else None
        )
    return None if web_address(url.strip()) else f"expected https://… with a host; found {quoted(without_user(url))}"


def _schema() -> Schema:
    headers = {
        "type": "object",
        "propertyNames": {"pattern": f"^{_HEADER_FORM}$"},
        "additionalProperties": ref("text"),
    }
    body = {"description": "text as it is, all else as JSON; texts in it are templates"}
    return mapping(
        {"channel": {"const": "webhook"}, "url": ref("text"), "body": body, "headers": headers}, ["url", "body"]
    )


FORM = MessageForm(_KEYS, _read, _schema)
