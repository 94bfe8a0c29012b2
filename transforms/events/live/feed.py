"""What a live source draws from, shared by all its readers in this process.

Beam makes and closes readers as it likes: one may be parked with an instance of a step that is never used again. So a
reader owns nothing. Waiting messages, messages in flight and the watermark belong to the feed, which is open while any
reader is. Times are microseconds since the epoch, UTC.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Protocol

__all__ = ["Arrived", "Backlog", "Feed", "Feeds", "SharedFeed", "now"]


def now() -> int:
    """The wall clock."""
    return time.time_ns() // 1000


class Arrived(NamedTuple):
    """A message to hand on: its payload, its handle (see `InFlight`) and its time of publishing."""

    payload: bytes
    handle: str
    published: int


class Backlog(NamedTuple):
    """How many messages are not acknowledged yet, and when the oldest of them arrived; None if there is none."""

    messages: int
    since: int | None


class Feed(Protocol):
    """An open source of messages. One call at a time."""

    def next(self) -> Arrived | None:
        """The oldest message that waits; None if there is none. It never waits for one."""

    def watermark(self) -> int:
        """The publish time before which no message is expected; it never goes back."""

    def backlog(self) -> Backlog | None:
        """What is not acknowledged; None where nobody here knows."""

    def close(self) -> None:
        """Stop reading; messages that were not handed on go back."""


class SharedFeed:
    """A feed that several readers draw from, call by call."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._paused = self._closed = False
        self._watermark = self._newest = 0
        self.readers = 1

    def take(self) -> tuple[Arrived, int] | None:
        """The next message with its timestamp for Beam, or None.

        The timestamp is the publish time, but never before a reported watermark: fixed windows would drop the message.
        """
        with self._lock:
            if self._paused:
                return None
            before = self._advance()
            arrived = self._feed.next()
            if arrived is None:
                return None
            self._newest = max(self._newest, arrived.published)
            return arrived, max(arrived.published, before)

    def take_many(self, most: int) -> tuple[list[Arrived], int]:
        """At most so many messages, the oldest first, with the timestamp of the first; there may be none."""
        first = self.take()
        if first is None:
            return [], 0
        taken = [first[0]]
        while len(taken) < most and (more := self.take()) is not None:
            taken.append(more[0])
        return taken, first[1]

    def watermark(self) -> int:
        """The watermark; it stands still while the feed is paused."""
        with self._lock:
            return self._watermark if self._paused else self._advance()

    def backlog(self) -> Backlog | None:
        """What is not acknowledged; None where nobody here knows, or once it is closed."""
        with self._lock:
            return None if self._closed else self._feed.backlog()

    def pause(self) -> None:
        """Hand on nothing more."""
        with self._lock:
            self._paused = True

    @contextmanager
    def standing_still(self) -> Iterator[int]:
        """Hand on nothing meanwhile; gives the newest time of what was handed on, or the watermark if it is later."""
        with self._lock:
            yield max(self._newest, self._watermark)

    def close(self) -> None:
        """Stop reading; a second time changes nothing."""
        with self._lock:
            self._paused = True
            if not self._closed:
                self._closed = True
                self._feed.close()

    def _advance(self) -> int:
        self._watermark = max(self._watermark, self._feed.watermark())
        return self._watermark


class Feeds:
    """The open feeds of a job, by name. Safe for threads."""

    def __init__(self) -> None:
        self._open: dict[str, SharedFeed] = {}
        self._lock = threading.Lock()
        self._paused = False
        self._reached = 0

    def acquire(self, name: str, make: Callable[[], Feed]) -> SharedFeed:
        """The feed with this name, opened if it is not open yet; `release` it."""
        with self._lock:
            feed = self._open.get(name)
            if feed is None:
                feed = self._open[name] = SharedFeed(make())
                if self._paused:
                    feed.pause()
            else:
                feed.readers += 1
            return feed

    def release(self, name: str) -> None:
        """Give back what `acquire` returned; the last reader closes the feed."""
        with self._lock:
            feed = self._open[name]
            feed.readers -= 1
            if feed.readers:
                return
            del self._open[name]
            with feed.standing_still() as reached:
                self._reached = max(self._reached, reached)
        feed.close()

    def watermark(self) -> int:
        """The least watermark of the open feeds that have one; 0 if none has."""
        with self._lock:
            open_feeds = list(self._open.values())
        return min(filter(None, (feed.watermark() for feed in open_feeds)), default=0)

    def backlog(self) -> Backlog | None:
        """What is not acknowledged of the open feed that knows it; None if there is none."""
        with self._lock:
            open_feeds = list(self._open.values())
        return next(filter(None, (feed.backlog() for feed in open_feeds)), None)

    @contextmanager
    def standing_still(self) -> Iterator[int]:
        """Hand on nothing meanwhile. Gives up to when anything was handed on, or timers may have fired: what is handed
        on afterwards and did not wait already is newer. 0 where nothing was.
        """
        with ExitStack() as held:
            held.enter_context(self._lock)
            reached = [held.enter_context(feed.standing_still()) for feed in self._open.values()]
            yield max([self._reached, *reached])

    def pause(self) -> None:
        """Hand on nothing more, so that what is in flight can end."""
        with self._lock:
            self._paused = True
            for feed in self._open.values():
                feed.pause()

    def close(self) -> None:
        """Close every feed; readers that still hold one get nothing from it."""
        with self._lock:
            closing = list(self._open.values())
        for feed in closing:
            feed.close()
