"""A text message: how it is written, read, described and filled in."""

import re
from typing import ClassVar

import msgspec

from transforms.channels.sms.segments import Segments, segments_of
from transforms.events.plain import counted, quoted
from transforms.messages.definitions import Message, Text
from transforms.messages.form import MessageForm, MessageReader
from transforms.messages.render import Filler, Rendered, RenderError
from transforms.segments.schema import Schema, mapping, ref

__all__ = ["FORM", "RenderedSms", "SmsMessage", "is_sender"]

_KEYS = ("text", "from")
#: https://www.twilio.com/docs/api/errors/21617
_MAX_TEXT = 1600
#: A number in E.164, a short code, a name (https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id), or one of
#: Twilio's messaging services (https://www.twilio.com/docs/messaging/services).
_SENDER = re.compile(r"\+[1-9][0-9]{4,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}|MG[0-9a-fA-F]{32}")
#: Controls (C0, C1) that are no white space: telephones and providers end the text there, obey, or refuse it.
_COMMANDS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


class RenderedSms(Rendered, frozen=True):
    """A text message; `sender` is None where the sender's default applies."""

    text: str
    sender: str | None = None

    @property
    def segments(self) -> Segments:
        """What it is sent in."""
        return segments_of(self.text)

    @property
    def summary(self) -> str:
        """The text."""
        return self.text

    @property
    def note(self) -> str:
        """What it is sent in."""
        alphabet, number = self.segments
        return f"{counted(number, 'segment')} of {alphabet}"


class SmsMessage(Message, frozen=True):
    """A text message; `sender` is None where the sender's default applies."""

    channel: ClassVar[str] = "sms"

    text: Text | None = None
    sender: Text | None = msgspec.field(default=None, name="from")

    def fill(self, texts: Filler) -> RenderedSms:
        """The message for one user."""
        text = (texts.body("text", self.text) or "").strip()
        if not text:
            raise RenderError("text: is empty")
        if found := _COMMANDS.search(text):
            raise RenderError(f"text: a control character, {quoted(found[0])}")
        if len(text.encode("utf-16-le")) // 2 > _MAX_TEXT:
            raise RenderError(f"text: a text message has at most {_MAX_TEXT:,} characters")
        sender = texts.line("from", self.sender)
        if self.sender is not None and not is_sender(sender or ""):
            raise RenderError(f"from: expected a number such as +819012345678, or a name; found {quoted(sender or '')}")
        return RenderedSms(text, sender)


def is_sender(text: str) -> bool:
    """Whether a text message may be from this."""
    return _SENDER.fullmatch(text) is not None


def _read(reader: MessageReader) -> SmsMessage:
    fields = reader.open(_KEYS, required=("text",))
    if "from" in fields:
        reader.texts.check_literal(fields["from"], _no_sender)
    return SmsMessage(reader.name, reader.at("text", reader.texts.text), reader.at("from", reader.texts.text))


def _no_sender(text: str) -> str | None:
    """Why a sender is none; none while Liquid has still to make it."""
    if "{" in text or is_sender(text.strip()):
        return None
    return (
        "expected a number such as +819012345678, a short code, or a name of at most 11 letters, digits and blanks; "
        f"found {quoted(text)}"
    )


def _schema() -> Schema:
    return mapping(
        {
            "channel": {"const": "sms"},
            "text": {**ref("text"), "description": "required; at most 1,600 characters"},
            "from": {**ref("text"), "description": "a number, a short code or a name; default: that of the job"},
        },
        ["text"],
    )


FORM = MessageForm(_KEYS, _read, _schema)
