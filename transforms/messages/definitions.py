"""The `messages:` section of definition files as records of plain data; every template is checked here."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from transforms.messages.markup import compile_mjml
from transforms.segments.document import Document, Node, Problems
from transforms.segments.values import SECOND, duration

__all__ = [
    "CHANNELS",
    "DEVICES",
    "LOCALE_FORM",
    "MAIL_TEXTS",
    "MAX_BADGE",
    "PRIORITIES",
    "PUSH_SETTINGS",
    "PUSH_TEXTS",
    "RESERVED_FORM",
    "MailMessage",
    "Message",
    "PushMessage",
    "Text",
    "locale_key",
    "parse_messages",
]

_ID = re.compile(r"[a-z][a-z0-9_]*")
#: How locales are written.
LOCALE_FORM = r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*"
_LOCALE = re.compile(LOCALE_FORM)

#: FCM keeps a message for at most four weeks:
#: https://firebase.google.com/docs/cloud-messaging/customize-messages/setting-message-lifespan
_TTL_SECONDS = 28 * 86400
#: Keys of `data` that FCM refuses: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
RESERVED_FORM = r"(from|message_type|google.*|gcm.*)"
_RESERVED = re.compile(RESERVED_FORM)

#: The channels that this version sends by.
CHANNELS = ("push", "email")
PRIORITIES = ("high", "normal")
DEVICES = ("all", "latest")
#: A badge shows up to that.
MAX_BADGE = 99_999

#: The fields of a push and of a mail that are templates, and the others of a push.
PUSH_TEXTS = ("title", "body", "image", "deep_link", "sound", "collapse_key")
PUSH_SETTINGS = ("data", "badge", "ttl", "priority", "devices")
MAIL_TEXTS = ("subject", "html", "mjml", "text", "from", "reply_to", "preheader")

_Read = TypeVar("_Read")


class Text(msgspec.Struct, frozen=True):
    """A template: Liquid sources by locale (see `locale_key`), or one under "" where the definition has no locales."""

    sources: dict[str, str]


class PushMessage(msgspec.Struct, frozen=True, tag="push"):
    """A push notification. `ttl` is in seconds; `devices` says which of a user's tokens get it."""

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


Message = PushMessage | MailMessage


def locale_key(locale: str) -> str:
    """A locale as it is compared: `ja_JP` and `ja-jp` are one."""
    return locale.replace("_", "-").lower()


def parse_messages(node: Node, problems: Problems) -> dict[str, Message]:
    """The messages of a definitions file by id; mistakes go to `problems`.

    A message with mistakes is in the answer too, as far as it could be read, so that references to it are not
    reported a second time.
    """
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of message ids to messages; found {node.kind}")
        return {}
    messages: dict[str, Message] = {}
    for name, child in node.value.items():
        if not _ID.fullmatch(name):
            problems.add(child, f"`{name}` is not an id: small letters, digits and _, beginning with a letter")
        if message := _message(name, child, problems):
            messages[name] = message
    return messages


def _message(name: str, node: Node, problems: Problems) -> Message | None:
    channel = node.value.get("channel") if isinstance(node.value, dict) else None
    if channel is None:
        problems.mapping(node, ("channel", *PUSH_TEXTS, *MAIL_TEXTS, *PUSH_SETTINGS), required=("channel",))
        return None
    match problems.choice(channel, CHANNELS, later=("line", "webhook", "inbox")):
        case "push":
            return _push(name, node, problems)
        case "email":
            return _mail(name, node, problems)
    return None


def _push(name: str, node: Node, problems: Problems) -> PushMessage:
    fields = problems.mapping(node, ("channel", *PUSH_TEXTS, *PUSH_SETTINGS), later=("android", "apns", "web")) or {}
    if "title" not in fields and "body" not in fields:
        problems.add(node, "a push needs `title` or `body`")

    def read(key: str, how: Callable[[Node], _Read | None]) -> _Read | None:
        return how(fields[key]) if key in fields else None

    data = read("data", lambda data: _data(data, problems)) or {}
    if "deep_link" in data and "deep_link" in fields:
        problems.add(fields["data"], "`deep_link` is given in `data` and beside it")
    texts = _texts(fields, PUSH_TEXTS, problems)
    return PushMessage(
        id=name,
        title=texts.get("title"),
        body=texts.get("body"),
        data=data,
        image=texts.get("image"),
        deep_link=texts.get("deep_link"),
        sound=texts.get("sound"),
        collapse_key=texts.get("collapse_key"),
        badge=read("badge", lambda badge: problems.integer(badge, 0, MAX_BADGE)),
        ttl=read("ttl", lambda ttl: _ttl(ttl, problems)),
        priority=read("priority", lambda priority: problems.choice(priority, PRIORITIES)),
        devices=read("devices", lambda devices: problems.choice(devices, DEVICES)) or "all",
    )


def _mail(name: str, node: Node, problems: Problems) -> MailMessage:
    fields = problems.mapping(node, ("channel", *MAIL_TEXTS), required=("subject",)) or {}
    if not fields.keys() & {"html", "mjml", "text"}:
        problems.add(node, "a mail needs a body: `html`, `mjml` or `text`")
    if "html" in fields and "mjml" in fields:
        problems.add(fields["mjml"], "a mail has `html` or `mjml`, not both")
    if "preheader" in fields and not fields.keys() & {"html", "mjml"}:
        problems.add(fields["preheader"], "`preheader` needs `html` or `mjml`: it is hidden text before the body")
    texts = _texts(fields, MAIL_TEXTS, problems)
    return MailMessage(
        id=name,
        subject=texts.get("subject"),
        html=texts.get("html"),
        mjml=texts.get("mjml"),
        text=texts.get("text"),
        sender=texts.get("from"),
        reply_to=texts.get("reply_to"),
        preheader=texts.get("preheader"),
    )


def _texts(fields: Document, keys: tuple[str, ...], problems: Problems) -> dict[str, Text | None]:
    return {key: _text(fields[key], problems, mjml=key == "mjml") for key in keys if key in fields}


def _text(node: Node, problems: Problems, *, mjml: bool = False) -> Text | None:
    """Text, or a map of locales to texts."""
    if not isinstance(node.value, dict):
        source = _source(node, problems, mjml=mjml)
        return None if source is None else Text({"": source})
    if not node.value:
        problems.add(node, "expected text, or texts by locale such as {en: …, ja: …}; found an empty mapping")
        return None
    sources: dict[str, str] = {}
    for locale, child in node.value.items():
        if not _LOCALE.fullmatch(locale):
            problems.add(child, f"`{locale}` is not a locale such as en, ja or pt-BR")
        elif locale_key(locale) in sources:
            problems.add(child, f"the locale `{locale}` is given twice")
        elif source := _source(child, problems, mjml=mjml):
            sources[locale_key(locale)] = source
    return Text(sources)


def _source(node: Node, problems: Problems, *, mjml: bool) -> str | None:
    from transforms.messages.liquid import mistakes  # noqa: PLC0415 - a tenth of a second that only messages need

    source = problems.text(node)
    if source is None:
        return None
    found = list(mistakes(source))
    if mjml and not found:
        try:
            source = compile_mjml(source)
        except ValueError as error:
            found = [str(error)]
        else:
            found = [f"after MJML: {cause}" for cause in mistakes(source)]
    for cause in found:
        problems.add(node, cause)
    return source


def _data(node: Node, problems: Problems) -> dict[str, Text] | None:
    """FCM's data holds text only; numbers and booleans are written as JSON writes them."""
    if not isinstance(node.value, dict):
        problems.add(node, f"expected a mapping of keys to texts; found {node.kind}")
        return None
    data: dict[str, Text] = {}
    for key, child in node.value.items():
        if _RESERVED.fullmatch(key):
            problems.add(child, f"`{key}` is reserved by FCM: not from, message_type, google… or gcm…")
        if isinstance(child.value, (bool, int, float)):
            data[key] = Text({"": msgspec.json.encode(child.value).decode()})
        elif text := _text(child, problems):
            data[key] = text
    return data


def _ttl(node: Node, problems: Problems) -> int | None:
    try:
        seconds = duration(node.plain()) // SECOND
    except ValueError as error:
        problems.add(node, str(error))
        return None
    if seconds > _TTL_SECONDS:
        problems.add(node, "FCM keeps a message for at most four weeks (4w)")
        return None
    return seconds
