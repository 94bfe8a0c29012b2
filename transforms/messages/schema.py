"""Messages as JSON Schema (draft 2020-12), made of the tables by which they are read."""

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
)
from transforms.segments.schema import DURATION, TEXT, Schema, has, mapping, ref

__all__ = ["message_schemas"]

_MEANINGS = {
    "title": "one of this and `body` is needed",
    "body": "one of this and `title` is needed",
    "image": "the address of a picture",
    "deep_link": "arrives as `deep_link` among the data",
    "collapse_key": "a later push with the same key takes the place of this one",
    "subject": "required",
    "html": "a mail has this, or `mjml`, or `text` alone",
    "mjml": "a mail has this, or `html`, or `text` alone",
    "text": "made of the HTML where it is missing",
    "from": "the sender; else the one that the job was started with",
    "preheader": "hidden text before the body of HTML",
}


def message_schemas() -> dict[str, Schema]:
    """What a message is, and the texts inside it, by name."""
    forms = {"push": _push(), "email": _mail(), "line": _line(), "webhook": _webhook(), "inbox": _inbox()}
    return {
        "message": {
            "type": "object",
            "properties": {"channel": {"enum": list(CHANNELS)}},
            "required": ["channel"],
            "allOf": [
                {
                    "if": {"properties": {"channel": {"const": channel}}, **has("channel")},
                    "then": ref(f"{channel}_message"),
                }
                for channel in CHANNELS
            ],
        },
        **{f"{channel}_message": forms[channel] for channel in CHANNELS},
        "source": {
            "description": "a template in Liquid, or the file beside the definitions that holds one",
            "anyOf": [TEXT, mapping({"file": TEXT}, ["file"])],
        },
        "text": {
            "description": "a template in Liquid, a file that holds one, or such by locale: {en: …, ja: …}",
            "anyOf": [
                ref("source"),
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": f"^{LOCALE_FORM}$"},
                    "additionalProperties": ref("source"),
                },
            ],
        },
    }


def _text(name: str) -> Schema:
    return {**ref("text"), "description": _MEANINGS[name]} if name in _MEANINGS else ref("text")


def _push() -> Schema:
    settings: dict[str, Schema] = {
        "data": {
            "type": "object",
            "description": "what the app gets beside; numbers and booleans are written as JSON writes them",
            "propertyNames": {"not": {"pattern": f"^{RESERVED_FORM}$"}},
            "additionalProperties": {"anyOf": [ref("text"), {"type": ["number", "boolean"]}]},
        },
        "badge": {"type": "integer", "minimum": 0, "maximum": MAX_BADGE},
        "ttl": {**DURATION, "description": "how long the provider may try; at most 4w"},
        "priority": {"enum": list(PRIORITIES)},
        "devices": {"enum": list(DEVICES), "description": "which of the user's devices; default: all"},
    }
    return mapping(
        {
            "channel": {"const": "push"},
            **{name: _text(name) for name in PUSH_TEXTS},
            **{name: settings[name] for name in PUSH_SETTINGS},
            **{name: {"type": "object", "description": "FCM's own block"} for name in PUSH_PARTS},
        },
        anyOf=[has("title"), has("body")],
        **{"not": {**has("deep_link", "data"), "properties": {"data": has("deep_link")}}},
    )


def _mail() -> Schema:
    html = {"anyOf": [has("html"), has("mjml")]}
    return mapping(
        {"channel": {"const": "email"}, **{name: _text(name) for name in MAIL_TEXTS}},
        ["subject"],
        anyOf=[has("html"), has("mjml"), has("text")],
        allOf=[{"if": has("preheader"), "then": html}],
        **{"not": has("html", "mjml")},
    )


def _line() -> Schema:
    item = {"type": "object", **has("type"), "description": "one of LINE's message objects; texts are templates"}
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_LINE_MESSAGES}
    return mapping(
        {"channel": {"const": "line"}, "text": ref("text"), "messages": items},
        oneOf=[has("text"), has("messages")],
    )


def _webhook() -> Schema:
    headers = {
        "type": "object",
        "propertyNames": {"pattern": f"^{HEADER_FORM}$"},
        "additionalProperties": ref("text"),
    }
    body = {"description": "text as it is, all else as JSON; texts in it are templates"}
    return mapping(
        {"channel": {"const": "webhook"}, "url": ref("text"), "body": body, "headers": headers}, ["url", "body"]
    )


def _inbox() -> Schema:
    return mapping(
        {
            "channel": {"const": "inbox"},
            **{name: _text(name) for name in INBOX_TEXTS},
            "data": {"type": "object", "description": "what the app gets beside; texts in it are templates"},
            "expires": {**DURATION, "description": "when the inbox no longer shows it"},
        },
        anyOf=[has("title"), has("body")],
    )
