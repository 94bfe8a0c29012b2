"""A channel that hands messages to nobody: it writes them to a folder."""

import itertools
import os
import threading
from io import FileIO
from pathlib import Path
from urllib.parse import quote

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.channel import OutboxFile, OutboxLine, transport_of
from transforms.channels.outcome import NotWritten, Outcome
from transforms.channels.settings import MailSettings
from transforms.messages.render import Rendered

__all__ = ["Outbox", "composed"]


class Outbox:
    """Writes lines of `<channel>-<process>-<n>.jsonl`; a channel may make a file of each, such as `mail/<send id>.eml`.

    Each outbox has files of its own, made when first needed and never one that exists: so writers in any number of
    threads and processes need no lock between them, and the lines of earlier runs stay.
    """

    def __init__(self, directory: Path, settings: MailSettings) -> None:
        self._directory = directory
        self._settings = settings
        self._files: dict[str, FileIO] = {}
        self._lock = threading.Lock()

    def make(self, send: Send, rendered: Rendered) -> OutboxFile | bytes | Outcome:
        """A file's or a line's content, judged as the channel would.

        Raises:
          OSError: nothing can be written there. Nothing has been claimed then.
        """
        written = composed(send, rendered, self._settings)
        if isinstance(written, OutboxFile):
            (self._directory / written.folder).mkdir(parents=True, exist_ok=True)
        elif isinstance(written, bytes):
            with self._lock:
                self._file(send.channel)
        return written

    async def send(self, send: Send, made: OutboxFile | bytes) -> Outcome:
        """Write one message, whole or not at all.

        Raises:
          NotWritten: the disk is full, or the like; no other message would fare better.
        """
        if isinstance(made, OutboxFile):
            _write_whole(self._directory / made.folder / f"{quote(send.id, safe='')}{made.suffix}", made.content)
        else:
            self._write(send.channel, made)
        return Outcome.handed_off("outbox")

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


def _write_whole(path: Path, content: bytes) -> None:
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


def composed(send: Send, rendered: Rendered, settings: MailSettings) -> OutboxFile | bytes | Outcome:
    """What the outbox holds of a message: a file, or a line of JSON; or why its channel would not take it."""
    shown = transport_of(send.channel).show(send, rendered, settings)
    return msgspec.json.encode(shown) + b"\n" if isinstance(shown, OutboxLine) else shown
