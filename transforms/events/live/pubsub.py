"""A Pub/Sub subscription read live by this process: StreamingPull behind a queue that never blocks its reader.

Google's client extends the leases of what is in flight and stops pulling at a number of messages or bytes; Beam's own
source does that on Dataflow. Times are microseconds since the epoch, UTC.
"""

import heapq
import queue
import time
from collections.abc import Callable
from typing import Any

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.types import FlowControl

from transforms.events.live.inflight import InFlight

__all__ = ["LiveMessage", "Subscriber", "Watermark"]

#: Messages and bytes that may be read and not yet acknowledged.
IN_FLIGHT_MESSAGES = 5_000
IN_FLIGHT_BYTES = 128 * 1024 * 1024
#: How long the lease of one message is extended, in seconds. A message that takes longer comes a second time.
LEASE_SECONDS = 3_600
#: After so long without a message the subscription is held to be empty, in microseconds.
IDLE = 2_000_000
#: The same at the start, when a backlog may be on its way and nothing must be settled before it.
IDLE_AT_START = 5_000_000

#: The payload, its handle (see `InFlight`) and its publish time.
LiveMessage = tuple[bytes, str, int]


class Watermark:
    """The publish time before which no message is expected; it never goes back.

    Pub/Sub says nothing of what is still to come, so it is what can be seen from here: the oldest message that waits to
    be handed on, else the newest handed on, and some time behind the clock when nothing has come for that long.

    Args:
      clock: the time now.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._time = 0
        self._quiet_since = clock()
        self._idle = IDLE_AT_START

    def seen(self, waiting: int | None, emitted: int | None, *, full: bool) -> int:
        """The watermark now.

        Args:
          waiting: the publish time of the oldest message that waits, if any does.
          emitted: the publish time of a message just handed on.
          full: as many messages are in flight as may be, so that nothing can come and silence says nothing.
        """
        now = self._clock()
        if waiting is not None or emitted is not None or full:
            self._quiet_since = now
        if waiting is not None or emitted is not None:
            self._idle = IDLE
            self._time = max(self._time, min(time for time in (waiting, emitted) if time is not None))
        elif now - self._quiet_since >= self._idle:
            self._time = max(self._time, now - self._idle)
        return self._time


class Subscriber:
    """An open StreamingPull.

    Args:
      subscription: `projects/P/subscriptions/S`.
      registry: where it is noted how to acknowledge what was handed on.
    """

    def __init__(self, subscription: str, registry: InFlight, clock: Callable[[], int] | None = None) -> None:
        self._registry = registry
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting: list[tuple[int, str, Any]] = []
        self._watermark = Watermark(clock or (lambda: time.time_ns() // 1000))
        self._client = SubscriberClient()
        flow = FlowControl(max_messages=IN_FLIGHT_MESSAGES, max_bytes=IN_FLIGHT_BYTES, max_lease_duration=LEASE_SECONDS)
        self._stream = self._client.subscribe(subscription, callback=self._arrived.put, flow_control=flow)

    def next(self) -> LiveMessage | None:
        """The oldest message that waits, or None where none does.

        Raises:
          google.api_core.exceptions.GoogleAPICallError: the stream broke for good; the client has tried again before.
        """
        while not self._arrived.empty():
            message = self._arrived.get()
            published = int(message.publish_time.timestamp() * 1_000_000)
            heapq.heappush(self._waiting, (published, message.ack_id, message))
        if self._waiting:
            published, _, message = heapq.heappop(self._waiting)
            self._watermark.seen(self._oldest(), published, full=False)
            return message.data, self._registry.add(message.ack), published
        if self._stream.done():
            self._stream.result()
        return None

    def watermark(self) -> int:
        """The publish time before which no message is expected."""
        return self._watermark.seen(self._oldest(), None, full=len(self._registry) >= IN_FLIGHT_MESSAGES)

    def close(self) -> None:
        """Stop pulling; what was not handed on goes back."""
        self._stream.cancel()
        self._stream.result()
        while not self._arrived.empty():
            self._arrived.get().nack()
        for _, _, message in self._waiting:
            message.nack()
        self._client.close()

    def _oldest(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None
