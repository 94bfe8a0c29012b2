"""What the page shows: read of the store, the queue, and what the supervisor says. Times are microseconds UTC."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from services.status.parts import PartState, read_parts
from transforms.events.decode import Cause
from transforms.events.queue.file import QueueError
from transforms.events.queue.mark import mark_path, read_mark
from transforms.events.queue.read import QueueReader
from transforms.metrics.counts import counts_of
from transforms.segments.values import DAY, MINUTE, SECOND
from transforms.storage.acknowledged import Ids
from transforms.storage.open import open_reader
from transforms.storage.reader import Reader

__all__ = ["FactsPlace", "QueueFacts", "SystemFacts", "job_fault", "queue_facts", "read_facts"]

#: The minutes that are shown, the one that is not over too.
MINUTES = 10
#: Over how long sums go.
LATELY = DAY
#: A job says every second what it has acknowledged; one that has not for so long does not work.
SILENT_SECONDS = 15.0
#: The part that is the job.
JOB = "job"


class FactsPlace(msgspec.Struct, frozen=True):
    """Where facts are: the store's URL, the queue, and what the supervisor writes."""

    store: str
    queue: Path
    parts: Path


class QueueFacts(msgspec.Struct, frozen=True):
    """How many calls wait to be applied, and since when the oldest does; None where none waits."""

    waiting: int = 0
    since: int | None = None


class SystemFacts(msgspec.Struct, frozen=True):
    """All that is shown. `minutes` are calls applied, by the start of the minute, the newest first; `refused` is what
    job and services could not take, by cause; `seconds` is how long it took to read this.
    """

    at: int
    parts: list[PartState]
    fault: str
    queue: QueueFacts
    minutes: dict[int, int]
    accounts: dict[str, int]
    segments: dict[str, int]
    sends: dict[str, dict[str, int]]
    suppressed: dict[str, int]
    refused: dict[str, int]
    seconds: float


def read_facts(place: FactsPlace, segments: Iterable[str], now: int) -> SystemFacts:
    """Read all. Where there is no store yet, nothing has happened.

    Raises:
      StoreError: the store cannot be read.
    """
    began = time.perf_counter()
    found: dict[str, Any] = {"minutes": {}, "accounts": {}, "sends": {}, "suppressed": {}, "refused": {}}
    sizes = dict.fromkeys(segments, 0)
    if Path(place.store.partition(":")[2]).exists():
        with closing(open_reader(place.store)) as reader:
            found = _counted(reader, now)
            sizes = {segment: reader.count_members(segment) for segment in sizes}
    waiting = QueueFacts()
    with suppress(QueueError):
        waiting = queue_facts(place.queue)
    parts = read_parts(place.parts)
    return SystemFacts(
        at=now,
        parts=parts,
        fault=job_fault(place, now),
        queue=waiting,
        segments=sizes,
        seconds=time.perf_counter() - began,
        **found,
    )


def job_fault(place: FactsPlace, now: int) -> str:
    """What is wrong with the job; empty where nothing is."""
    parts = read_parts(place.parts)
    stopped = [part for part in parts if not part.running]
    if stopped:
        return f"{stopped[0].name} {stopped[0].last or 'has not started'}"
    try:
        written = mark_path(place.queue).stat().st_mtime
    except FileNotFoundError:
        return "the job has not started"
    except OSError as error:
        return f"the job's mark cannot be read: {error.strerror}"
    started = max((part.since for part in parts if part.name == JOB), default=0.0)
    if written < started or read_mark(place.queue) is None:  # what a job before this one wrote says nothing of it
        return "the job has not started"
    silent = now / SECOND - written
    return f"the job has read nothing for {silent:.0f} s" if silent > SILENT_SECONDS else ""


def queue_facts(path: Path) -> QueueFacts:
    """What waits in a queue, as the job said within the last second.

    Raises:
      QueueError: it cannot be read.
    """
    with closing(QueueReader(path)) as reader:
        mark = read_mark(path)
        first, end = reader.span()
        done = mark.acknowledged if mark is not None and mark.queue == reader.id else Ids()
        start = max(first, done.before)
        ended = sum(last - max(start, begin) + 1 for begin, last in done.ranges() if last >= start)
        oldest = reader.read(start)[:1]
        return QueueFacts(end - start - ended, oldest[0].arrived if oldest else None)


def _counted(reader: Reader, now: int) -> dict[str, Any]:
    """What job and services have counted lately."""
    started = now - now % MINUTE - (MINUTES - 1) * MINUTE
    minutes = {started + place * MINUTE: 0 for place in reversed(range(MINUTES))}
    since = now - LATELY
    accounts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for count in counts_of(reader, "accounts", since):
        outcome = count.labels.get("outcome", "")
        accounts[outcome] += count.count
        if outcome == "applied" and count.window in minutes:
            minutes[count.window] += count.count
        if outcome == "dead_letter":
            refused[count.labels.get("cause", "")] += count.count
    for count in counts_of(reader, "collect_refused", since):
        refused[count.labels.get("cause", "")] += count.count
    for count in counts_of(reader, "engage_told", since):
        if count.labels.get("outcome") == "unreadable":
            refused[Cause.INVALID] += count.count
    sends: dict[str, Counter[str]] = {}
    for count in counts_of(reader, "sends", since):
        sends.setdefault(count.labels.get("channel", ""), Counter())[count.labels.get("state", "")] += count.count
    suppressed: Counter[str] = Counter()
    for count in counts_of(reader, "suppressed", since):
        suppressed[count.labels.get("reason", "")] += count.count
    return {
        "minutes": minutes,
        "accounts": dict(accounts),
        "sends": {channel: dict(states) for channel, states in sorted(sends.items())},
        "suppressed": dict(suppressed.most_common()),
        "refused": dict(refused.most_common()),
    }
