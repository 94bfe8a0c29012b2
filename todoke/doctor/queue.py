"""An embedded queue: whether it can be read and written, what waits in it, and whether a job reads it."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from todoke.doctor.finding import Finding
from transforms.events.plain import counted
from transforms.events.queue.file import NoQueue, QueueError
from transforms.events.queue.mark import QueueHeld, hold_queue, mark_path, read_mark
from transforms.events.queue.read import QueueReader

__all__ = ["look_at_queue"]


def look_at_queue(flag: str, path: Path) -> Iterator[Finding]:
    """Look at a queue; nothing is made or changed."""
    if not path.exists():
        yield Finding(flag, "note", f"there is no queue {path}", "`todoke run` makes it, or whoever appends first")
        return
    try:
        with closing(QueueReader(path)) as reader:
            first, end = reader.span()
            mark = read_mark(path)
            done = mark.acknowledged.missing(range(first, end)) if mark and mark.queue == reader.id else None
    except QueueError as error:
        yield Finding(flag, "missing", str(error), needed=True)
        return
    kept = counted(end - first, "message")
    waits = "no job has read it yet" if done is None else f"{counted(len(done), 'message')} not acknowledged"
    yield Finding(flag, "ok", f"{kept} kept, {waits}")
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            yield Finding(flag, "missing", f"{place} cannot be written", "who may append and read it?", needed=True)
    if mark_path(path).exists():
        yield _reader(flag, path)


def _reader(flag: str, path: Path) -> Finding:
    try:
        with hold_queue(path, patience=0.0):
            return Finding(flag, "note", "no job reads it now", "start `todoke run`")
    except QueueHeld as error:
        return Finding(flag, "ok", str(error).partition(":")[0])
    except NoQueue as error:
        return Finding(flag, "missing", str(error), needed=True)
