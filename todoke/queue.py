"""`todoke queue`: what waits in an embedded queue."""

import sys
from contextlib import closing

from todoke.replay_file import line_of
from transforms.errors import WrongUse
from transforms.events.plain import counted, quoted
from transforms.events.queue.mark import read_mark
from transforms.events.queue.read import QueueReader
from transforms.events.sources import parse_queue
from transforms.storage.acknowledged import Ids

__all__ = ["queue"]


def queue(action: str, place: str, *, every: bool) -> None:
    """Print the messages that the job has not acknowledged, or all that are there.

    What it acknowledged within the last second may still be among them.

    Args:
      action: `cat`.
      place: `queue:PATH`.
      every: all that are there.

    Raises:
      WrongUse: the action or the place is none.
      QueueError: the queue is not there, or cannot be read.
    """
    if action != "cat":
        raise WrongUse(f"expected `todoke queue cat`; found {quoted(action)}")
    try:
        path = parse_queue(place)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    left_out = 0
    with closing(QueueReader(path)) as reader:
        mark = None if every else read_mark(path)
        done = Ids() if mark is None or mark.queue != reader.id else mark.acknowledged
        for page in reader.pages(done.before):
            waiting = set(done.missing(range(page[0].id, page[-1].id + 1)))
            lines = [line_of(each.payload) for each in page if each.id in waiting]
            sys.stdout.buffer.write(b"".join(filter(None, lines)))
            left_out += lines.count(None)
    if left_out:
        said = counted(left_out, "message")
        print(
            f"todoke: {said} left out: blank, or of several lines without an id, which no file can hold",
            file=sys.stderr,
        )
