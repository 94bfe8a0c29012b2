"""Where what services take goes: what returns has been written where nothing loses it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from services.problems import HttpProblem, away
from transforms.events.queue.append import MessageTooLarge, Queue
from transforms.events.queue.file import QueueError

__all__ = ["AWAY_SECONDS", "KeyedPayload", "QueueSink", "Sink"]

#: For how long after a failure the service says that it is not ready, in seconds.
AWAY_SECONDS = 5.0


class KeyedPayload(NamedTuple):
    """A payload, and the key of its user: the user id, `~` and the anonymous id, or empty for everybody."""

    payload: bytes
    user: str


class Sink(Protocol):
    """Takes messages. Safe for many requests at once, in one event loop."""

    async def publish(self, messages: Sequence[KeyedPayload]) -> None:
        """Return once all of them are durable.

        Raises:
          HttpProblem: 503, they may not be, and the same may be sent again; 413, they never will be.
        """

    async def check(self) -> None:
        """Return if messages are taken now.

        Raises:
          HttpProblem: 503, they are not; the text says why.
        """

    def close(self) -> None:
        """End what was taken, and take nothing more."""


class QueueSink:
    """An embedded queue; the requests of a moment are one commit."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._failed: float | None = None

    async def publish(self, messages: Sequence[KeyedPayload]) -> None:
        """See `Sink`."""
        try:
            answer: Future[range] = self._queue.submit([message.payload for message in messages])
            await asyncio.wrap_future(answer)
        except MessageTooLarge as error:
            raise HttpProblem(413, "too_large", str(error)) from None
        except QueueError:  # its text names files
            self._failed = time.monotonic()
            raise away("the queue does not take more now") from None
        self._failed = None

    async def check(self) -> None:
        """See `Sink`: a queue that did not take the last messages is not ready for some seconds."""
        if self._failed is not None and time.monotonic() < self._failed + AWAY_SECONDS:
            raise away("the queue does not take more now")

    def close(self) -> None:
        """See `Sink`."""
        self._queue.close()
