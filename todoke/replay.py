"""`todoke replay`: publish dead letters again, to a topic or into a file."""

import io
import os
import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from beam_pipelines.values import read_time
from todoke.control import Publish, open_topic, publish_evenly
from todoke.store import open_asked, open_asked_reader
from todoke.terminal import json_text
from transforms.errors import RunFailed, WrongUse
from transforms.events.plain import quoted
from transforms.storage.dead_letters import DeadLetters
from transforms.storage.pages import every
from transforms.storage.reader import EARLIEST, Reader
from transforms.storage.rows import DeadLetterRow
from transforms.users.replay import CONTROL, CUT, Unreplayable, message_of

__all__ = ["replay"]

#: What a SQLite file begins with (https://www.sqlite.org/fileformat.html).
_SQLITE = b"SQLite format 3\x00"
_URL = re.compile(r"([a-z][a-z0-9+.-]*):")
#: Letters that are read at a time: each may have a megabyte.
_AT_ONCE = 100
#: Why letters are passed over that were published again before.
_REPLAYED = "replayed"


def replay(url: str, to: str, asked: tuple[str | None, str | None], rate: float, *, again: bool, json: bool) -> None:
    """Publish letters again, newest first, at most so many a second, and print how many.

    Each is marked in the store once the topic or the file has it, and passed over the next time. What is killed in
    between publishes some twice; they have their own ids, and the second is a duplicate.

    Args:
      url: of the store.
      to: `pubsub:projects/P/topics/T`, or a file to which lines are added.
      asked: the cause, and since when (ISO 8601), each None for all.
      rate: a second.
      again: those too that were published again before.
      json: print the counts as JSON.

    Raises:
      WrongUse: the URL, the place or the time is none.
      StoreError: the store cannot be read or written.
      ControlFailed, RunFailed: the topic or the file does not take the messages. Those that it took are marked.
    """
    cause, said = asked
    since = EARLIEST if said is None else read_time("--since", said)
    counts = Counter[str]()
    with open_asked_reader(url) as reader, closing(open_asked(url)) as store, _opened(to) as publish:
        letters = _letters(reader, cause, since)
        waiting = deque[DeadLetterRow]()
        messages = _messages(letters, waiting, counts, again=again)
        counts["published"] = publish_evenly(messages, partial(_publish, publish, store, waiting), rate)
    shown = {name: counts[name] for name in ("published", _REPLAYED, CONTROL, CUT)}
    if json:
        print(json_text(shown))
        return
    print(f"dead letters published again: {counts['published']}")
    for name, why in _PASSED_OVER.items():
        if counts[name]:
            print(f"  passed over, {why}: {counts[name]}")


_PASSED_OVER = {
    _REPLAYED: "published again before (--again takes them too)",
    CONTROL: "no events but messages of the control topic",
    CUT: "too large to be kept whole",
}


def _letters(reader: Reader, cause: str | None, since: int) -> Iterator[DeadLetterRow]:
    return every(lambda cursor: reader.page_dead_letters(_AT_ONCE, cursor, cause=cause, since=since))


def _messages(
    letters: Iterator[DeadLetterRow], waiting: deque[DeadLetterRow], counts: Counter[str], *, again: bool
) -> Iterator[bytes]:
    """The messages of letters that may be published; each letter waits to be marked."""
    for letter in letters:
        if letter.replayed and not again:
            counts[_REPLAYED] += 1
            continue
        try:
            message = message_of(letter)
        except Unreplayable as error:
            counts[error.why] += 1
            continue
        waiting.append(letter)
        yield message


def _publish(publish: Publish, store: DeadLetters, waiting: deque[DeadLetterRow], batch: Sequence[bytes]) -> None:
    began = time.time_ns() // 1000  # what is refused once more arrives after this, and its letter counts as new
    publish(batch)
    store.mark_replayed([waiting.popleft() for _ in batch], began)


@contextmanager
def _opened(to: str) -> Iterator[Publish]:
    if to.startswith("pubsub:"):
        with open_topic(to, "--to") as publish:
            yield publish
        return
    if (found := _URL.match(to)) and len(found[1]) > 1:
        raise WrongUse(f"--to: expected pubsub:projects/P/topics/T or a file of this machine; found {quoted(to)}")
    try:
        file = Path(to).open("a+b")  # noqa: SIM115 - closed below
    except OSError as error:
        raise WrongUse(f"--to: {to}: {error.strerror}") from error
    with file:
        _end_line(file, to)
        yield partial(_add_lines, file.fileno(), to)


def _end_line(file: BinaryIO, place: str) -> None:
    """End the last line of a file that was cut off, so that the first message does not become part of it.

    Raises:
      WrongUse: it is a store.
    """
    try:
        file.seek(0)
        if file.read(len(_SQLITE)) == _SQLITE:
            raise WrongUse(f"--to: {place} is a SQLite file; name another one")
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                os.write(file.fileno(), b"\n")
    except io.UnsupportedOperation:  # a pipe, which has no end yet
        return


def _add_lines(file: int, place: str, batch: Sequence[bytes]) -> None:
    """Add messages as lines. A line break within one is white space of JSON, or else nobody could read it anyway."""
    lines = b"".join(b"%s\n" % payload.replace(b"\r", b" ").replace(b"\n", b" ") for payload in batch)
    try:
        while lines:
            lines = lines[os.write(file, lines) :]
        os.fsync(file)
    except OSError as error:
        raise RunFailed(f"the messages cannot be written: {place}: {error.strerror}") from error
