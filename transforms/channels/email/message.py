"""A mail as a message: how it is written, read, described and filled in."""

import re
from typing import ClassVar, Self

import msgspec

from transforms.channels.texts import text_schemas
from transforms.events.plain import quoted
from transforms.identity.mailbox import named_mailbox
from transforms.messages.definitions import Message, Text
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.markup import in_language, inline_styles, text_of, with_preheader
from transforms.messages.render import Filler, Linking, Rendered, RenderError, has_break
from transforms.messages.tracking import TRACKING_SCHEMA, Tracking, read_tracking
from transforms.segments.schema import Schema, has, mapping

__all__ = ["FORM", "MailMessage", "RenderedMail"]

_TEXTS = ("subject", "html", "mjml", "text", "from", "reply_to", "preheader")
_LIQUID = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


class RenderedMail(Rendered, frozen=True):
    """A mail's subject and bodies; `text` is always there. `sender` is None where the sender's default applies."""

    subject: str
    text: str
    html: str | None = None
    sender: str | None = None
    reply_to: str | None = None

    @property
    def summary(self) -> str:
        """The subject."""
        return self.subject

    def linked(self, linking: Linking) -> Self:
        """The same with tracked links in both bodies."""
        html = None if self.html is None else linking.html(self.html)
        return msgspec.structs.replace(self, html=html, text=linking.text(self.text))


class MailMessage(Message, frozen=True):
    """A mail, with `html` or `mjml` or neither; `mjml` holds HTML already compiled from MJML, with its Liquid."""

    channel: ClassVar[str] = "email"

    subject: Text | None = None
    html: Text | None = None
    mjml: Text | None = None
    text: Text | None = None
    sender: Text | None = msgspec.field(default=None, name="from")
    reply_to: Text | None = None
    preheader: Text | None = None
    tracking: Tracking | None = None

    def fill(self, texts: Filler) -> RenderedMail:
        """The mail for one user."""
        subject = texts.line("subject", self.subject)
        if subject is None:
            raise RenderError("subject: is empty")
        html = texts.body("html", self.html, escape=True) or texts.body("mjml", self.mjml, escape=True)
        text = texts.body("text", self.text)
        if not (html or "").strip() and not (text or "").strip():
            raise RenderError("html, mjml, text: the body is empty")
        if html and self.html:  # MJML has put its own styles where they belong
            try:
                html = inline_styles(html)
            except ValueError as error:
                raise RenderError(f"html: {error}") from error
        if html and text is None:
            text = text_of(html, flush=self.mjml is not None)
        if html and self.mjml:
            html = in_language(html, texts.locale("mjml", self.mjml) or texts.locales[-1])
        preheader = texts.body("preheader", self.preheader, escape=True)
        if html and preheader:
            html = with_preheader(html, preheader)
        return RenderedMail(
            subject=subject,
            text=text or "",
            html=html or None,
            sender=_mailbox(texts, "from", self.sender),
            reply_to=_mailbox(texts, "reply_to", self.reply_to),
        )


def _mailbox(texts: Filler, field: str, text: Text | None) -> str | None:
    """A mailbox, with a name or without."""
    filled = texts.line(field, text)
    if text is not None and (filled is None or named_mailbox(filled) is None):
        raise RenderError(f"{field}: expected a mailbox, such as Shop <shop@example.com>; found {quoted(filled or '')}")
    return filled


def _read(reader: MessageReader) -> MailMessage:
    fields = reader.open((*_TEXTS, "tracking"), required=("subject",))
    if not fields.keys() & {"html", "mjml", "text"}:
        reader.problems.add(reader.node, "a mail needs a body: `html`, `mjml` or `text`")
    if "html" in fields and "mjml" in fields:
        reader.problems.add(fields["mjml"], "a mail has `html` or `mjml`, not both")
    if "preheader" in fields and not fields.keys() & {"html", "mjml"}:
        cause = "`preheader` needs `html` or `mjml`: it is hidden text before the body"
        reader.problems.add(fields["preheader"], cause)
    texts = {key: reader.texts.text(fields[key], mjml=key == "mjml") for key in _TEXTS if key in fields}
    if "subject" in fields:
        reader.texts.check_literal(fields["subject"], _breaks)
    for key in sorted({"from", "reply_to"} & fields.keys()):
        reader.texts.check_literal(fields[key], _no_mailbox)
    tracking = reader.at("tracking", lambda node: read_tracking(node, reader.problems))
    return MailMessage(id=reader.name, sender=texts.pop("from", None), tracking=tracking, **texts)


def _breaks(subject: str) -> str | None:
    """Why a subject cannot stand in one line."""
    found = has_break(_LIQUID.sub("", subject).strip())
    return "a subject is one line: it holds a line break or control character" if found else None


def _no_mailbox(text: str) -> str | None:
    """Why a sender is none, as far as that can be seen before it is filled in."""
    # Where Liquid makes the name alone, the mailbox can be seen.
    seen = text if "{" not in text else "".join(text.rpartition("<")[1:])
    wrong = "{" not in seen and named_mailbox(seen) is None
    return f"expected a mailbox, such as Shop <shop@example.com>; found {quoted(text)}" if wrong else None


_MEANINGS = {
    "subject": "required",
    "html": "a mail has this, or `mjml`, or `text` alone",
    "mjml": "a mail has this, or `html`, or `text` alone",
    "text": "made of the HTML where it is missing",
    "from": "the sender; else the one that the job was started with",
    "preheader": "hidden text before the body of HTML",
}


def _schema() -> Schema:
    html = {"anyOf": [has("html"), has("mjml")]}
    return mapping(
        {"channel": {"const": "email"}, **text_schemas(_TEXTS, _MEANINGS), "tracking": TRACKING_SCHEMA},
        ["subject"],
        anyOf=[has("html"), has("mjml"), has("text")],
        allOf=[{"if": has("preheader"), "then": html}],
        **{"not": has("html", "mjml")},
    )


FORM = MessageForm((*_TEXTS, "tracking"), _read, _schema)
