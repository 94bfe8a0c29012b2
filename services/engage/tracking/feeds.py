"""Where touches wait for their verdict: an embedded queue, or a subscription of Pub/Sub. One judge reads each."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from transforms.account import google_fault
from transforms.errors import TodokeError
from transforms.events.queue.file import QueueError
from transforms.events.queue.mark import QueueHeld, hold_queue, read_mark, write_mark
from transforms.events.queue.read import QueueReader
from transforms.storage.acknowledged import Ids

__all__ = ["FeedAway", "FeedHeld", "QueuedTouches", "SubscribedTouches", "TouchFeed", "Waiting"]

#: How often the mark beside a queue is written, in seconds. What it does not say is judged again after a crash.
MARK_SECONDS = 0.5
#: How long a pull may take, and how many messages it brings.
PULL_SECONDS, PULL_MESSAGES = 2.0, 1_000


class FeedAway(TodokeError):
    """Touches cannot be read now."""


class FeedHeld(FeedAway):
    """Another judge reads them, which is as it should be."""


class Waiting(NamedTuple):
    """A touch as it was written, and what acknowledges it."""

    handle: Any
    payload: bytes


class TouchFeed(Protocol):
    """Used by one thread. What was taken and is not done is taken again after a crash."""

    def take(self) -> list[Waiting]:
        """What came since the last call, in order.

        Raises:
          FeedAway: it cannot be read now; call again later.
        """

    def done(self, handles: Sequence[Any]) -> None:
        """These have their verdict, and their receipts are durable."""

    def close(self) -> None:
        """Let go of what is open."""


class QueuedTouches:
    """A queue; see `TouchFeed`. Whichever process holds it judges, and another takes its place when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: ExitStack | None = None
        self._written = 0.0
        self._next = 1
        #: What is judged, and what of it was when the queue was opened: a later id may be among it without an earlier.
        self._done, self._known = Ids(), Ids()
        self._marked = 0

    def take(self) -> list[Waiting]:
        """See `TouchFeed`."""
        try:
            if self._held is None:
                self._open()
            found = self._reader.read(self._next)
        except QueueHeld as error:
            raise FeedHeld(str(error)) from error
        except (QueueError, OSError) as error:
            raise FeedAway(str(error)) from error
        if not found:
            if self._marked < len(self._done):
                self._mark()
            return []
        self._next = found[-1].id + 1
        missing = set(self._known.missing(range(found[0].id, self._next)))
        return [Waiting(each.id, each.payload) for each in found if each.id in missing]

    def done(self, handles: Sequence[Any]) -> None:
        """See `TouchFeed`."""
        for handle in handles:
            self._done.add(handle)
        if time.monotonic() >= self._written + MARK_SECONDS:
            self._mark()

    def close(self) -> None:
        """See `TouchFeed`."""
        if self._held is not None:
            with suppress(FeedAway):  # what is not marked is judged again, and its receipts have the same ids
                self._mark()
            self._held.close()
            self._held = None

    def _open(self) -> None:
        with ExitStack() as held:
            held.enter_context(hold_queue(self._path, patience=0.0))
            self._reader = QueueReader(self._path)
            held.callback(self._reader.close)
            mark = read_mark(self._path)
            first, _ = self._reader.span()
            gone = [(1, first - 1)] if first > 1 else []  # only what was judged is deleted
            known = mark.ranges if mark is not None and mark.queue == self._reader.id else ()
            self._done, self._known = Ids([*gone, *known]), Ids(known)
            self._marked, self._next = len(self._done), self._done.before
            self._held = held.pop_all()

    def _mark(self) -> None:
        try:
            write_mark(self._path, self._reader.id, self._done)
        except OSError as error:
            raise FeedAway(f"{self._path}: what is judged cannot be noted: {error.strerror}") from error
        self._marked, self._written = len(self._done), time.monotonic()


class SubscribedTouches:
    """A subscription, `projects/P/subscriptions/S`; see `TouchFeed`.

    It must keep messages for a minute at least before it sends them again, must not order them, and has one judge:
    those of one message are judged together.
    """

    def __init__(self, subscription: str) -> None:
        from google.cloud.pubsub_v1 import SubscriberClient  # noqa: PLC0415 - a slow import

        self._subscription = subscription
        self._client = SubscriberClient()

    def take(self) -> list[Waiting]:
        """See `TouchFeed`."""
        asked = {"subscription": self._subscription, "max_messages": PULL_MESSAGES}
        try:
            answer = self._client.pull(asked, retry=None, timeout=PULL_SECONDS)
        except DeadlineExceeded:
            return []
        except (GoogleAPIError, GoogleAuthError) as error:
            raise FeedAway(f"{self._subscription} does not answer: {google_fault(error)}") from error
        return [Waiting(each.ack_id, each.message.data) for each in answer.received_messages]

    def done(self, handles: Sequence[Any]) -> None:
        """See `TouchFeed`."""
        try:
            for start in range(0, len(handles), PULL_MESSAGES):  # a request has 512 KiB at most
                some = list(handles[start : start + PULL_MESSAGES])
                self._client.acknowledge({"subscription": self._subscription, "ack_ids": some}, timeout=PULL_SECONDS)
        except (GoogleAPIError, GoogleAuthError) as error:  # they come again, and their receipts have the same ids
            raise FeedAway(f"{self._subscription} does not answer: {google_fault(error)}") from error

    def close(self) -> None:
        """See `TouchFeed`."""
        self._client.close()
