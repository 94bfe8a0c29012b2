"""`todoke replay`: publish dead letters again, to a topic or into a file."""

import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from beam_pipelines.values import read_time
from todoke.control import ControlFailed, Publisher, is_live, open_events, publish_evenly
from todoke.names import check_word
from todoke.replay_file import is_stdout, line_of, open_file
from todoke.store import open_asked, open_asked_reader
from todoke.terminal import json_text
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.storage.dead_letters import DeadLetters
from transforms.storage.pages import every
from transforms.storage.reader import EARLIEST, Reader
from transforms.storage.rows import DeadLetterRow
from transforms.users.replay import CONTROL, CUT, Unreplayable, message_of
from transforms.views.reasons import CAUSES

__all__ = ["replay"]

_URL = re.compile(r"([a-z][a-z0-9+.-]*):")
#: Letters that are read at a time: each may have a megabyte.
_AT_ONCE = 100
#: Why letters are passed over that were published again before.
_REPLAYED = "replayed"
#: Why letters are passed over where messages are lines: no line is read as this message.
_NO_LINE = "no_line"


def replay(url: str, to: str, asked: tuple[str | None, str | None], rate: float, *, again: bool, json: bool) -> None:
    """Publish letters again, newest first, at most so many a second, and print how many.

    Each is marked in the store once the topic, the queue or the file has it, and passed over the next time. What is
    killed in between publishes some twice; they have their own ids, and the second is a duplicate.

    Args:
      url: of the store.
      to: `pubsub:projects/P/topics/T`, `queue:PATH`, or a file, pipe or device to which lines are added. Where that is
        the output, the counts are printed to stderr.
      asked: the cause, and since when (ISO 8601), each None for all.
      rate: a second.
      again: those too that were published again before.
      json: print the counts as JSON.

    Raises:
      WrongUse: the URL, the place, the cause or the time is none.
      StoreError: the store cannot be read or written.
      ControlFailed: the topic or the file does not take the messages. Those that it took are marked.
    """
    cause, said = asked
    check_word("--cause", "cause", cause, CAUSES)
    since = EARLIEST if said is None else read_time("--since", said)
    counts = Counter[str]()
    lines = not is_live(to)
    output = sys.stderr if lines and is_stdout(to) else sys.stdout
    with open_asked_reader(url) as reader, closing(open_asked(url)) as store, _opened(to) as publish:
        letters = _letters(reader, cause, since)
        waiting = deque[DeadLetterRow]()
        messages = _messages(letters, waiting, counts, again=again, lines=lines)
        counts["published"] = publish_evenly(messages, partial(_publish, publish, store, waiting), rate)
    shown = {name: counts[name] for name in ("published", _REPLAYED, CONTROL, CUT, _NO_LINE)}
    if json:
        print(json_text(shown), file=output)
        return
    print(f"dead letters published again: {counts['published']}", file=output)
    for name, why in _PASSED_OVER.items():
        if counts[name]:
            print(f"  passed over, {why}: {counts[name]}", file=output)


_PASSED_OVER = {
    _REPLAYED: "published again before (--again takes them too)",
    CONTROL: "no events but messages of the control topic",
    CUT: "too large to be kept whole",
    _NO_LINE: "blank, or of several lines without an id, which no file can hold (a topic can)",
}


def _letters(reader: Reader, cause: str | None, since: int) -> Iterator[DeadLetterRow]:
    return every(lambda cursor: reader.page_dead_letters(_AT_ONCE, cursor, cause=cause, since=since))


def _messages(
    letters: Iterator[DeadLetterRow],
    waiting: deque[DeadLetterRow],
    counts: Counter[str],
    *,
    again: bool,
    lines: bool,
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
        if lines:
            if (line := line_of(message)) is None:
                counts[_NO_LINE] += 1
                continue
            message = line
        waiting.append(letter)
        yield message


def _publish(publish: Publisher, store: DeadLetters, waiting: deque[DeadLetterRow], batch: Sequence[bytes]) -> None:
    began = time.time_ns() // 1000  # what is refused once more arrives after this, and its letter counts as new
    letters = [waiting.popleft() for _ in batch]
    try:
        publish(batch)
    except ControlFailed as error:
        store.mark_replayed([letters[place] for place in error.taken], began)
        raise
    store.mark_replayed(letters, began)


@contextmanager
def _opened(to: str) -> Iterator[Publisher]:
    if is_live(to):
        with open_events(to, "--to") as publish:
            yield publish
        return
    if (found := _URL.match(to)) and len(found[1]) > 1:
        raise WrongUse(
            f"--to: expected pubsub:projects/P/topics/T, queue:PATH or a file of this machine; found {quoted(to)}"
        )
    with open_file(to) as publish:
        yield publish
