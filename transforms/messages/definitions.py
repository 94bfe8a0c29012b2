"""Messages as records: what `grammar` reads of definition files, in plain data."""

from collections.abc import Iterator
from typing import Any

import msgspec

__all__ = [
    "CHANNELS",
    "DEVICES",
    "HEADER_FORM",
    "INBOX_TEXTS",
    "LOCALE_FORM",
    "MAIL_TEXTS",
    "MAX_BADGE",
    "MAX_LINE_MESSAGES",
    "PRIORITIES",
    "PUSH_PARTS",
    "PUSH_SETTINGS",
    "PUSH_TEXTS",
    "RESERVED_FORM",
    "InboxMessage",
    "LineMessage",
    "MailMessage",
    "Message",
    "Partials",
    "PushMessage",
    "Text",
    "Tree",
    "WebhookMessage",
    "locale_key",
    "without_locale",
]

#: How locales are written.
LOCALE_FORM = r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*"

#: Keys of `data` that FCM refuses: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
RESERVED_FORM = r"(from|message_type|google.*|gcm.*)"

#: The channels that this version sends by.
CHANNELS = ("push", "email", "line", "webhook", "inbox")
PRIORITIES = ("high", "normal")
DEVICES = ("all", "latest")
#: A badge shows up to that.
MAX_BADGE = 99_999

#: The fields of a push and of a mail that are templates, and the others of a push.
PUSH_TEXTS = ("title", "body", "image", "deep_link", "sound", "collapse_key")
PUSH_SETTINGS = ("data", "badge", "ttl", "priority", "devices")
#: Parts of FCM's own message, which take the place of what is made of the other fields.
PUSH_PARTS = ("android", "apns", "web")
MAIL_TEXTS = ("subject", "html", "mjml", "text", "from", "reply_to", "preheader")
INBOX_TEXTS = ("title", "body", "image", "deep_link")
#: LINE takes five messages at once: https://developers.line.biz/en/reference/messaging-api/#send-push-message
MAX_LINE_MESSAGES = 5


def _any_case(name: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" for letter in name)


#: Header names, as RFC 9110 (5.6.2) has them, but for those that say how the body is sent and who sent it. JavaScript,
#: in which editors read schemas, knows no pattern for letters of any case.
HEADER_FORM = (
    f"(?!({_any_case('host')}|{_any_case('content')}-{_any_case('length')}|{_any_case('connection')}"
    f"|{_any_case('transfer')}-{_any_case('encoding')}|{_any_case('webhook')}-.*)$)[A-Za-z0-9!#$%&'*+.^_`|~-]+"
)


#: What a template renders, by name.
Partials = tuple[tuple[str, str], ...]


class Text(msgspec.Struct, frozen=True):
    """A template: Liquid sources by locale (see `locale_key`), or one under "" where the definition has no locales.

    `partials` are what they render, by name.
    """

    sources: dict[str, str]
    partials: Partials = ()


#: What JSON can hold, with a `Text` for each text; names of objects are as they are.
Tree = Any


class PushMessage(msgspec.Struct, frozen=True, tag="push"):
    """A push notification. `ttl` is in seconds; `devices` says which of a user's tokens get it.

    `parts` are trees by `PUSH_PARTS`.
    """

    id: str
    title: Text | None = None
    body: Text | None = None
    data: dict[str, Text] = {}
    image: Text | None = None
    deep_link: Text | None = None
    sound: Text | None = None
    collapse_key: Text | None = None
    badge: int | None = None
    ttl: int | None = None
    priority: str | None = None
    devices: str = "all"
    parts: dict[str, Tree] = {}
    channel: str = "push"


class MailMessage(msgspec.Struct, frozen=True, tag="email"):
    """A mail, with `html` or `mjml` or neither; `mjml` holds HTML already compiled from MJML, with its Liquid."""

    id: str
    subject: Text | None = None
    html: Text | None = None
    mjml: Text | None = None
    text: Text | None = None
    sender: Text | None = None
    reply_to: Text | None = None
    preheader: Text | None = None
    channel: str = "email"


class LineMessage(msgspec.Struct, frozen=True, tag="line"):
    """A LINE message: `text`, or `messages`, each a tree that is one of LINE's message objects."""

    id: str
    text: Text | None = None
    messages: tuple[Tree, ...] = ()
    channel: str = "line"


class WebhookMessage(msgspec.Struct, frozen=True, tag="webhook"):
    """A call of a server by POST. `body` is a `Text`, or a tree that goes out as JSON."""

    id: str
    url: Text
    body: Tree
    headers: dict[str, Text] = {}
    channel: str = "webhook"


class InboxMessage(msgspec.Struct, frozen=True, tag="inbox"):
    """What an app shows in its inbox. `data` holds trees; `expires` is in seconds from the hand-over on."""

    id: str
    title: Text | None = None
    body: Text | None = None
    image: Text | None = None
    deep_link: Text | None = None
    data: dict[str, Tree] = {}
    expires: int | None = None
    channel: str = "inbox"


Message = PushMessage | MailMessage | LineMessage | WebhookMessage | InboxMessage


def locale_key(locale: str) -> str:
    """A locale as it is compared: `ja_JP` and `ja-jp` are one."""
    return locale.replace("_", "-").lower()


def without_locale(message: Message, locale: str) -> list[str]:
    """The fields of a message that have texts by locale, and none for this one."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return [name for name, value in fields.items() if any(_lacks(text, locale_key(locale)) for text in _texts(value))]


def _lacks(text: Text, locale: str) -> bool:
    return not {"", locale} & text.sources.keys()


def _texts(value: Tree) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
