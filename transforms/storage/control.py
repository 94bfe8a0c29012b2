"""The control table: messages back to the users of a job on one machine."""

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from time import time_ns
from typing import Protocol

from transforms.storage.rows import ControlRow

__all__ = ["Control", "ControlRows", "least_id", "oldest_control"]


class Control(Protocol):
    """A queue of messages, read oldest first; on Dataflow a topic takes its place."""

    def publish_control(self, payloads: Sequence[bytes], at: int) -> None:
        """Add messages, published at `at`, in their order. They are durable when this returns.

        Durable means that no message is lost if this process dies, even by SIGKILL. SQLite's file may lose the last
        ones if the whole machine loses power. A call that raised may still have added them.
        """

    def read_control(self, limit: int, skip: Collection[str] = (), since: int | None = None) -> list[ControlRow]:
        """The oldest messages, at most `limit`, without those whose ids are in `skip`.

        Messages published before `since` (microseconds UTC) are not read; those to skip are, and cost as much.
        """

    def delete_control(self, ids: Sequence[str]) -> None:
        """Delete messages; those that are gone already are ignored."""


def oldest_control(control: Control, limit: int, *, at_once: int = 5_000) -> Iterator[ControlRow]:
    """The oldest messages, at most `limit`, of which `at_once` are in memory."""
    since, skip = None, set[str]()
    while limit > 0 and (rows := control.read_control(min(limit, at_once), skip, since)):
        yield from rows
        limit -= len(rows)
        last = rows[-1].published
        skip = {row.id for row in rows if row.published == last} | (skip if last == since else set())
        since = last


def least_id(published: int) -> str:
    """A text that sorts before the ids of all rows that were published at a time (microseconds UTC) or later."""
    return f"{published + 2**63:016x}"


class ControlRows:
    """Makes rows with unique ids, which sort by `published`, then by the order in which they were made.

    An id is three hexadecimal numbers: the time of publishing; the wall clock in nanoseconds, which counts on if the
    clock stands still or is set back, so that the order is exact in one process and follows the clocks among several;
    and a random number for the publisher. Safe for threads.
    """

    def __init__(self) -> None:
        self._publisher = os.urandom(8).hex()
        self._next = 0
        self._lock = threading.Lock()

    def make(self, payloads: Sequence[bytes], at: int) -> list[ControlRow]:
        """A row for each payload, published at a time in microseconds since the epoch."""
        with self._lock:
            first = max(self._next, time_ns())
            self._next = first + len(payloads)
        return [
            ControlRow(f"{least_id(at)}-{first + place:016x}-{self._publisher}", at, payload)
            for place, payload in enumerate(payloads)
        ]
