"""A channel that hands messages to nobody: it writes them to a folder."""

import itertools
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.email import compose
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings
from transforms.messages.render import RenderedMail, RenderedPush

__all__ = ["Outbox", "PushLine"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PushLine(msgspec.Struct, frozen=True):
    """One line of `push*.jsonl`. `decided_at` is ISO 8601 in UTC with Z."""

    send_id: str
    campaign: str
    step: str
    variant: str | None
    user: str
    token: str
    title: str
    body: str
    data: dict[str, str]
    decided_at: str


class Outbox:
    """Writes mails to `mail/<send id>.eml` and pushes as lines of `push-<process>-<n>.jsonl`.

    Each outbox has a push file of its own, made when first needed and never one that exists: so writers in any number
    of threads and processes need no lock between them, and the lines of earlier runs stay.
    """

    def __init__(self, directory: Path, settings: MailSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._pushes: BinaryIO | None = None
        self._lock = threading.Lock()

    async def send(self, send: Send, rendered: RenderedPush | RenderedMail) -> Outcome:
        """Write one message; a full disk and the like raise `OSError`, since no other message would fare better."""
        if isinstance(rendered, RenderedPush):
            self._push(send, rendered)
            return Outcome.handed_off("outbox")
        message = compose(send, rendered, self._settings)
        if isinstance(message, Outcome):
            return message
        path = self._directory / "mail" / f"{quote(send.id, safe='')}.eml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(message.as_bytes())
        return Outcome.handed_off("outbox")

    async def close(self) -> None:
        """Close the push file."""
        with self._lock:
            if self._pushes is not None:
                self._pushes.close()
                self._pushes = None

    def _push(self, send: Send, push: RenderedPush) -> None:
        decided_at = (_EPOCH + timedelta(microseconds=send.decided_at)).isoformat()
        line = PushLine(
            send_id=send.id,
            campaign=send.campaign,
            step=send.step,
            variant=send.variant,
            user=send.user,
            token=send.address,
            title=push.title,
            body=push.body,
            data=push.data,
            decided_at=decided_at.replace("+00:00", "Z"),
        )
        with self._lock:
            if self._pushes is None:
                self._pushes = self._new_file()
            self._pushes.write(msgspec.json.encode(line) + b"\n")
            self._pushes.flush()

    def _new_file(self) -> BinaryIO:
        self._directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count():
            try:
                return (self._directory / f"push-{os.getpid()}-{number}.jsonl").open("xb")
            except FileExistsError:
                continue
        raise AssertionError("itertools.count ended")
