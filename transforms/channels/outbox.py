"""A channel that hands messages to nobody: it writes them to a folder."""

import itertools
import os
import threading
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.email.transport import compose
from transforms.channels.outcome import NotWritten, Outcome
from transforms.channels.push.transport import measured
from transforms.channels.settings import MailSettings
from transforms.events.times import write_time
from transforms.messages.render import (
    Rendered,
    RenderedInbox,
    RenderedLine,
    RenderedMail,
    RenderedPush,
    RenderedWebhook,
)

__all__ = ["InboxLine", "LineLine", "Outbox", "PushLine", "WebhookLine", "composed"]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """What every line says. `decided_at` is ISO 8601 in UTC with Z."""

    send_id: str
    campaign: str
    step: str
    variant: str | None
    user: str
    decided_at: str


class PushLine(_Line, frozen=True, kw_only=True):
    """One line of `push*.jsonl`."""

    token: str
    title: str
    body: str
    data: dict[str, str]


class LineLine(_Line, frozen=True, kw_only=True):
    """One line of `line*.jsonl`; `to` is the LINE id."""

    to: str
    messages: list[dict[str, Any]]


class WebhookLine(_Line, frozen=True, kw_only=True):
    """One line of `webhook*.jsonl`: the call that was not made."""

    url: str
    headers: dict[str, str]
    body: str


class InboxLine(_Line, frozen=True, kw_only=True):
    """One line of `inbox*.jsonl`; `expires` is in seconds after the decision, null for never."""

    title: str
    body: str
    image: str | None
    deep_link: str | None
    data: dict[str, Any]
    expires: int | None


class Outbox:
    """Writes mails to `mail/<send id>.eml` and all else as lines of `<channel>-<process>-<n>.jsonl`.

    Each outbox has files of its own, made when first needed and never one that exists: so writers in any number of
    threads and processes need no lock between them, and the lines of earlier runs stay.
    """

    def __init__(self, directory: Path, settings: MailSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._files: dict[str, FileIO] = {}
        self._lock = threading.Lock()

    def make(self, send: Send, rendered: Rendered) -> bytes | Outcome:
        """A file's or a line's content, judged as the channel would.

        Raises:
          OSError: nothing can be written there. Nothing has been claimed then.
        """
        written = composed(send, rendered, self._settings)
        if isinstance(written, bytes):
            self._open(send.channel)
        return written

    async def send(self, send: Send, made: bytes) -> Outcome:
        """Write one message, whole or not at all.

        Raises:
          NotWritten: the disk is full, or the like; no other message would fare better.
        """
        if send.channel == "email":
            _write_mail(self._directory / "mail" / f"{quote(send.id, safe='')}.eml", made)
        else:
            self._write(send.channel, made)
        return Outcome.handed_off("outbox")

    def _open(self, channel: str) -> None:
        if channel == "email":
            (self._directory / "mail").mkdir(parents=True, exist_ok=True)
            return
        with self._lock:
            self._file(channel)

    async def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _write(self, channel: str, line: bytes) -> None:
        with self._lock:
            file = self._file(channel)
            whole = file.tell()
            try:
                _write_all(file, line)
            except OSError as error:
                file.truncate(whole)
                file.seek(whole)
                raise _not_written(error, file.name) from error

    def _file(self, channel: str) -> FileIO:
        if channel not in self._files:
            self._files[channel] = self._new_file(channel)
        return self._files[channel]

    def _new_file(self, channel: str) -> FileIO:
        self._directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            try:
                # Without a buffer: what was refused must not be written later.
                return (self._directory / f"{channel}-{os.getpid()}-{number}.jsonl").open("xb", buffering=0)
            except FileExistsError:
                continue
        raise AssertionError("itertools.count ended")


def _write_mail(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _not_written(error, path) from error


def _write_all(file: FileIO, line: bytes) -> None:
    """A disk that fills up takes a part, and refuses the next."""
    while line:
        line = line[file.write(line) :]


def _not_written(error: OSError, place: Path | str) -> NotWritten:
    return NotWritten(error.errno, error.strerror, str(place))


def composed(send: Send, rendered: Rendered, settings: MailSettings) -> bytes | Outcome:
    """What the outbox holds of a message: a mail, or a line of JSON; or why its channel would not take it."""
    if isinstance(rendered, RenderedMail):
        mail = compose(send, rendered, settings)
        return mail if isinstance(mail, Outcome) else mail.content
    if isinstance(rendered, RenderedPush) and isinstance(refused := measured(rendered, send), Outcome):
        return refused
    return msgspec.json.encode(_line(send, rendered)) + b"\n"


def _line(send: Send, rendered: Rendered) -> _Line:
    said: dict[str, Any] = {
        "send_id": send.id,
        "campaign": send.campaign,
        "step": send.step,
        "variant": send.variant,
        "user": send.user,
        "decided_at": write_time(send.decided_at),
    }
    match rendered:
        case RenderedPush(title, body, data):
            return PushLine(**said, token=send.address, title=title, body=body, data=data)
        case RenderedLine(messages):
            return LineLine(**said, to=send.address, messages=messages)
        case RenderedWebhook(url, body, _, headers):
            return WebhookLine(**said, url=url, headers=headers, body=body)
        case RenderedInbox():
            return InboxLine(**said, **msgspec.structs.asdict(rendered))
    raise TypeError(f"send {send.id}: a mail is no line")
