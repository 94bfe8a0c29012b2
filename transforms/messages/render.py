"""Messages for one user: texts of the right locale, filled in. Whatever is not certain is refused, never guessed."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from transforms.events.plain import without_user
from transforms.identity.mailbox import named_mailbox
from transforms.messages.definitions import (
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
from transforms.messages.liquid import fill
from transforms.messages.markup import in_language, inline_styles, text_of, with_preheader
from transforms.messages.secrets import MASK, MASKS, holds_secrets
from transforms.messages.web_address import web_address

__all__ = [
    "Called",
    "RenderError",
    "Rendered",
    "RenderedInbox",
    "RenderedLine",
    "RenderedMail",
    "RenderedPush",
    "RenderedWebhook",
    "has_break",
    "render",
]

#: Whatever could end a line of a header: C0 and C1 controls (CR, LF, NEL, …) and Unicode's own separators.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

#: Characters of UTF-16: https://developers.line.biz/en/reference/messaging-api/#text-message
LINE_TEXT = 5000


def has_break(text: str) -> bool:
    """Whether a text holds anything that could end a line of a header."""
    return _BREAKS.search(text) is not None


class RenderError(Exception):
    """A message that must not go out; its text says which field and why."""


class RenderedPush(msgspec.Struct, frozen=True):
    """A push ready for FCM. `data` holds the deep link under `deep_link`; `ttl` is in seconds; `parts` are FCM's own
    blocks `android`, `apns` and `web`.
    """

    title: str
    body: str
    data: dict[str, str] = {}
    image: str | None = None
    sound: str | None = None
    collapse_key: str | None = None
    badge: int | None = None
    ttl: int | None = None
    priority: str | None = None
    parts: dict[str, Any] = {}


class RenderedMail(msgspec.Struct, frozen=True):
    """A mail's subject and bodies; `text` is always there. `sender` is None where the sender's default applies."""

    subject: str
    text: str
    html: str | None = None
    sender: str | None = None
    reply_to: str | None = None


class RenderedLine(msgspec.Struct, frozen=True):
    """LINE's message objects, as its API takes them."""

    messages: list[dict[str, Any]]


class Called(msgspec.Struct, frozen=True):
    """Where a call with secrets really goes, and its headers. It is shown to nobody."""

    url: str
    headers: dict[str, str]

    def __repr__(self) -> str:
        return MASK


class RenderedWebhook(msgspec.Struct, frozen=True):
    """A call: `body` is text, or JSON where `json` says so.

    With secrets `url` and `headers` have masks in their place, and `called`, where calls are made, has the secrets.
    """

    url: str
    body: str
    json: bool
    headers: dict[str, str] = {}
    called: Called | None = None


class RenderedInbox(msgspec.Struct, frozen=True):
    """What an app shows in its inbox; `expires` is in seconds from the hand-over on."""

    title: str
    body: str
    image: str | None = None
    deep_link: str | None = None
    data: dict[str, Any] = {}
    expires: int | None = None


#: A message of any channel, filled in.
Rendered = RenderedPush | RenderedMail | RenderedLine | RenderedWebhook | RenderedInbox


def render(message: Message, scope: Mapping[str, object], locale: str | None, default_locale: str) -> Rendered:
    """Fill in a message.

    `scope` holds `user`, `event`, `campaign`, `now` (an aware datetime in the user's zone), `unsubscribe_url`, and
    `variant` where there is one; `secrets`, by name, where calls are made that may need them. A text with locales is
    taken by `locale`, else by its language, else by `default_locale`.

    Raises:
      RenderError: a missing variable or locale, an error or a limit in Liquid, a line break in a header, or
        nothing to show.
    """
    wanted = locale_key(locale) if locale else ""
    texts = _Texts(scope, ("", wanted, wanted.partition("-")[0], locale_key(default_locale)))
    match message:
        case PushMessage():
            return _push(message, texts)
        case MailMessage():
            return _mail(message, texts)
        case LineMessage():
            return _line(message, texts)
        case WebhookMessage():
            return _webhook(message, texts)
    return _inbox(message, texts)


class _Texts:
    """Fills in fields for one user."""

    def __init__(self, scope: Mapping[str, object], locales: tuple[str, ...]) -> None:
        self.secrets = scope.get("secrets")
        self.scope = {name: value for name, value in scope.items() if name != "secrets"}
        self.locales = locales

    def with_secrets(self, secrets: object) -> "_Texts":
        """The same, seeing secrets."""
        texts = _Texts({}, self.locales)
        texts.scope = {**self.scope, "secrets": secrets}
        return texts

    def body(self, field: str, text: Text | None, *, escape: bool = False) -> str | None:
        """A text as it is, or None where the definition has none."""
        if text is None:
            return None
        try:
            return fill(text.sources[self.locale(field, text)], self.scope, escape=escape, partials=text.partials)
        except ValueError as error:
            raise RenderError(f"{field}: {error}") from error

    def locale(self, field: str, text: Text) -> str:
        """The locale that a text is taken in; empty where it has none."""
        for locale in self.locales:
            if locale in text.sources:
                return locale
        wanted = ", ".join(filter(None, dict.fromkeys(self.locales)))
        raise RenderError(f"{field}: no text for {wanted}; there is {', '.join(text.sources)}")

    def line(self, field: str, text: Text | None) -> str | None:
        """One line without white space around it; None where nothing is left."""
        filled = (self.body(field, text) or "").strip()
        if has_break(filled):
            raise RenderError(f"{field}: a line break or control character in {filled[:80]!r}")
        return filled or None

    def address(self, field: str, text: Text | None) -> str | None:
        """A mailbox, with a name or without."""
        filled = self.line(field, text)
        if text is not None and (filled is None or named_mailbox(filled) is None):
            raise RenderError(f"{field}: expected a mailbox, such as Shop <shop@example.com>; found {filled or ''!r}")
        return filled

    def tree(self, field: str, tree: Tree) -> Any:
        """What JSON can hold, its texts filled in."""
        if isinstance(tree, Text):
            return self.body(field, tree)
        if isinstance(tree, dict):
            return {key: self.tree(f"{field}.{key}", inner) for key, inner in tree.items()}
        if isinstance(tree, list):
            return [self.tree(f"{field}[{place}]", inner) for place, inner in enumerate(tree)]
        return tree

    def shown(self, title: Text | None, body: Text | None) -> tuple[str, str]:
        """A title and a body, not both empty."""
        found = (self.body("title", title) or "").strip(), (self.body("body", body) or "").strip()
        if not any(found):
            raise RenderError("title, body: both are empty")
        return found


def _push(message: PushMessage, texts: _Texts) -> RenderedPush:
    title, body = texts.shown(message.title, message.body)
    data = {key: texts.body(f"data.{key}", text) or "" for key, text in message.data.items()}
    if deep_link := texts.line("deep_link", message.deep_link):
        data["deep_link"] = deep_link
    return RenderedPush(
        title=title,
        body=body,
        data=data,
        image=texts.line("image", message.image),
        sound=texts.line("sound", message.sound),
        collapse_key=texts.line("collapse_key", message.collapse_key),
        badge=message.badge,
        ttl=message.ttl,
        priority=message.priority,
        parts=texts.tree("", message.parts),
    )


def _mail(message: MailMessage, texts: _Texts) -> RenderedMail:
    subject = texts.line("subject", message.subject)
    if subject is None:
        raise RenderError("subject: is empty")
    html = texts.body("html", message.html, escape=True) or texts.body("mjml", message.mjml, escape=True)
    text = texts.body("text", message.text)
    if not (html or "").strip() and not (text or "").strip():
        raise RenderError("html, mjml, text: the body is empty")
    if html and message.html:  # MJML has put its own styles where they belong
        try:
            html = inline_styles(html)
        except ValueError as error:
            raise RenderError(f"html: {error}") from error
    if html and text is None:
        text = text_of(html, flush=message.mjml is not None)
    if html and message.mjml:
        html = in_language(html, texts.locale("mjml", message.mjml) or texts.locales[-1])
    preheader = texts.body("preheader", message.preheader, escape=True)
    if html and preheader:
        html = with_preheader(html, preheader)
    return RenderedMail(
        subject=subject,
        text=text or "",
        html=html or None,
        sender=texts.address("from", message.sender),
        reply_to=texts.address("reply_to", message.reply_to),
    )


def _line(message: LineMessage, texts: _Texts) -> RenderedLine:
    if message.text is None:
        return RenderedLine([texts.tree(f"messages[{place}]", item) for place, item in enumerate(message.messages)])
    text = (texts.body("text", message.text) or "").strip()
    if not text:
        raise RenderError("text: is empty")
    if len(text.encode("utf-16-le")) // 2 > LINE_TEXT:
        raise RenderError(f"text: LINE takes at most {LINE_TEXT:,} characters")
    return RenderedLine([{"type": "text", "text": text}])


def _webhook(message: WebhookMessage, texts: _Texts) -> RenderedWebhook:
    body, is_text = texts.tree("body", message.body), isinstance(message.body, Text)
    written = body if is_text else msgspec.json.encode(body).decode()
    if not holds_secrets(message):
        return RenderedWebhook(_url(message, texts), written, not is_text, _headers(message, texts))
    shown = texts.with_secrets(MASKS)
    url, headers = shown.line("url", message.url) or "", _headers(message, shown)
    called = None if texts.secrets is None else _called(message, texts.with_secrets(texts.secrets))
    return RenderedWebhook(url, written, not is_text, headers, called)


def _called(message: WebhookMessage, texts: _Texts) -> Called:
    try:
        return Called(_url(message, texts), _headers(message, texts))
    except RenderError:  # whose text may quote a secret
        cause = "url, headers: a secret is missing, or holds what they cannot"
    raise RenderError(cause)


def _url(message: WebhookMessage, texts: _Texts) -> str:
    written = texts.line("url", message.url) or ""
    url = web_address(written)
    if url is None:
        raise RenderError(f"url: expected https://… with a host; found {without_user(written)[:80]!r}")
    return url


def _headers(message: WebhookMessage, texts: _Texts) -> dict[str, str]:
    return {name: texts.line(f"headers.{name}", text) or "" for name, text in message.headers.items()}


def _inbox(message: InboxMessage, texts: _Texts) -> RenderedInbox:
    title, body = texts.shown(message.title, message.body)
    return RenderedInbox(
        title=title,
        body=body,
        image=texts.line("image", message.image),
        deep_link=texts.line("deep_link", message.deep_link),
        data=texts.tree("data", message.data),
        expires=message.expires,
    )
