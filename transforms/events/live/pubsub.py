"""A Pub/Sub subscription read live by this process: pulls behind a queue that never blocks its reader.

Messages are pulled, not streamed. After a process was killed, the emulator took longer than 40 to 90 s to deliver again
what it had put on that process's stream; and a stream carries 2,000 messages a second where pulls carry 24,000. This
module extends the leases of messages in flight, and pulls no more than a number of messages or bytes. On Dataflow,
Beam's own source does all that. Subscriptions with exactly-once delivery will not do: they refuse a whole request if
one id in it has expired. Times are microseconds since the epoch, UTC.
"""

import heapq
import os
import queue
import threading
import time
from collections.abc import Callable

import grpc
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PullResponse

from transforms.events.live.feed import Arrived, Backlog, now
from transforms.events.live.inflight import InFlight

__all__ = ["Subscriber", "Watermark", "subscriber_client"]

#: Messages and bytes that may be pulled and not yet acknowledged.
HELD_MESSAGES = 5_000
HELD_BYTES = 128 * 1024 * 1024
#: Messages asked for in one pull, and pulls that wait for messages together.
PULLED_AT_ONCE = 1_000
PULLERS = 2
#: How long one pull waits for messages, in seconds. The broker knows this time, so it gives messages to the pull of a
#: killed process for at most as long; these come again only when their leases end.
PULL_SECONDS = 3.0
#: For how long leases are extended, and how often, in seconds. What a killed process held comes again after that time.
#: The shortest lease that the service has (cloud.google.com/pubsub/docs/lease-management).
LEASE_SECONDS = 10
EXTEND_SECONDS = 3.0
#: Ids in one request, which must stay below 512 KiB (cloud.google.com/pubsub/quotas).
IDS_AT_ONCE = 1_000
#: How long acknowledgements wait for others to go with, in seconds. Settling a message does not wait for the broker:
#: a message whose acknowledgement is lost comes again, and is found to be a duplicate.
ACKNOWLEDGE_SECONDS = 0.05
#: How long the service may take to answer at the start, in seconds.
CONNECT_SECONDS = 60.0
#: How long closing the subscription waits for pulls and other work, in seconds. A pull that still waits for messages is
#: then given up; a message that the broker gave it meanwhile comes again when its lease ends.
CLOSE_SECONDS = 0.2
#: How long a puller rests while no more may be held, in seconds.
FULL_SECONDS = 0.02

#: After this long without a message, the subscription counts as empty.
IDLE = 2_000_000
#: For this long after the start the watermark stands still: a backlog is on its way, and what a dead run had in flight
#: comes again when its leases end (the supervisor's pause and the start of a process take the rest).
START = 5_000_000


class Watermark:
    """The publish time before which no message is expected; it never goes back.

    Pub/Sub does not say what is still to come, so this is what can be seen from here: the time of the oldest message
    that waits, or some time behind the clock when nothing has come for that long. Once the start is over, it is no less
    than that of what was handed on. A runner lets a message wait behind an earlier timer of its key, and when as many
    messages wait as may be held, none comes that could move the watermark.

    Args:
      clock: the time now.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._time = self._oldest = 0
        self._opened = self._quiet_since = clock()

    def seen(self, oldest: int | None, *, deaf: bool) -> int:
        """The watermark now.

        Args:
          oldest: the publish time of the oldest message that waits or is being handed on, if there is one.
          deaf: published messages may be unable to come (as much is in flight as may be, or there is no connection), so
            that silence means nothing.
        """
        moment = self._clock()
        if oldest is not None or deaf:
            self._quiet_since = moment
        if oldest is not None:
            self._oldest = max(self._oldest, oldest)
        if moment - self._opened < START:
            return self._time
        self._time = max(self._time, self._oldest)
        if oldest is None and moment - self._quiet_since >= IDLE:
            self._time = max(self._time, moment - IDLE)
        return self._time


class Subscriber:
    """An open subscription; see `Feed`.

    Args:
      subscription: `projects/P/subscriptions/S`.
      registry: notes how to acknowledge what was handed on.

    Raises:
      ConnectionError: the service does not answer.
    """

    def __init__(self, subscription: str, registry: InFlight, clock: Callable[[], int] = now) -> None:
        self._subscription = subscription
        self._registry = registry
        self._arrived: queue.SimpleQueue[tuple[int, str, bytes]] = queue.SimpleQueue()
        self._waiting: list[tuple[int, str, bytes]] = []
        self._settled: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._held_bytes = 0
        self._connected = True
        self._closing = threading.Event()
        self._failures: queue.SimpleQueue[GoogleAPIError] = queue.SimpleQueue()
        self._client = subscriber_client()
        self._connect()
        self._watermark = Watermark(clock)
        work = [self._pull] * PULLERS + [self._extend, self._acknowledge_all]
        self._threads = [threading.Thread(target=self._surfacing, args=(step,), daemon=True) for step in work]
        for thread in self._threads:
            thread.start()

    def next(self) -> Arrived | None:
        """The oldest message that waits, or None where none does.

        Raises:
          google.api_core.exceptions.GoogleAPIError: the service refuses, or was away for longer than the client tries.
        """
        self._collect()
        if self._waiting:
            published, ack_id, payload = heapq.heappop(self._waiting)
            self._watermark.seen(published, deaf=False)
            return Arrived(payload, self._registry.add(self._settled.put, ack_id, published), published)
        if not self._failures.empty():
            raise self._failures.get()
        if not self._closing.is_set() and not all(thread.is_alive() for thread in self._threads):
            raise ConnectionError(f"reading {self._subscription} ended")
        return None

    def watermark(self) -> int:
        """The publish time before which no message is expected."""
        self._collect()
        return self._watermark.seen(self._waiting[0][0] if self._waiting else None, deaf=self._deaf())

    def backlog(self) -> Backlog | None:
        """Only the service's own metrics know."""
        return None

    def close(self) -> None:
        """Pull nothing more. Messages that were not handed on go back at once; settled ones are acknowledged.

        Raises:
          google.api_core.exceptions.GoogleAPIError: it could not be given back, and comes again when its leases end.
        """
        self._closing.set()
        until = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._acknowledge()
        self._collect()
        self._change_leases([ack_id for _, ack_id, _ in self._waiting], 0)
        self._client.close()

    def _pull(self) -> None:
        while not self._closing.is_set():
            room = self._room()
            if not room:
                self._closing.wait(FULL_SECONDS)
                continue
            try:
                response = self._client.pull(
                    subscription=self._subscription, max_messages=min(PULLED_AT_ONCE, room), timeout=PULL_SECONDS
                )
            except DeadlineExceeded:
                continue
            received = PullResponse.pb(response).received_messages
            with self._lock:
                for message in received:
                    self._held[message.ack_id] = message.ByteSize()
                    self._held_bytes += message.ByteSize()
            for message in received:
                published = message.message.publish_time.ToMicroseconds()
                self._arrived.put((published, message.ack_id, message.message.data))

    def _extend(self) -> None:
        while not self._closing.wait(EXTEND_SECONDS):
            with self._lock:
                held = list(self._held)
            self._change_leases(held, LEASE_SECONDS)

    def _surfacing(self, work: Callable[[], None]) -> None:
        """Do the work of a thread; if it fails, `next` raises the error."""
        try:
            work()
        except (GoogleAPIError, ValueError) as error:
            # The client raises ValueError for a channel that `close` has closed.
            if not self._closing.is_set():
                if isinstance(error, ValueError):
                    raise
                self._failures.put(error)

    def _collect(self) -> None:
        while not self._arrived.empty():
            heapq.heappush(self._waiting, self._arrived.get())

    def _acknowledge_all(self) -> None:
        while not self._closing.wait(ACKNOWLEDGE_SECONDS):
            self._acknowledge()

    def _acknowledge(self) -> None:
        ack_ids: list[str] = []
        while not self._settled.empty():
            ack_ids += self._settled.get()
        for start in range(0, len(ack_ids), IDS_AT_ONCE):
            part = ack_ids[start : start + IDS_AT_ONCE]
            self._client.acknowledge(subscription=self._subscription, ack_ids=part)
            with self._lock:
                for ack_id in part:
                    self._held_bytes -= self._held.pop(ack_id)

    def _change_leases(self, ack_ids: list[str], seconds: int) -> None:
        for start in range(0, len(ack_ids), IDS_AT_ONCE):
            part = ack_ids[start : start + IDS_AT_ONCE]
            self._client.modify_ack_deadline(
                subscription=self._subscription, ack_ids=part, ack_deadline_seconds=seconds
            )

    def _room(self) -> int:
        """How many messages may be pulled now."""
        return 0 if self._held_bytes >= HELD_BYTES else max(0, HELD_MESSAGES - len(self._held))

    def _deaf(self) -> bool:
        return not self._connected or not self._room()

    def _connect(self) -> None:
        channel = self._client.transport.grpc_channel
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            self._client.close()
            raise ConnectionError(f"Pub/Sub does not answer at {self._client.target}") from None
        channel.subscribe(self._note)

    def _note(self, state: grpc.ChannelConnectivity) -> None:
        self._connected = state is grpc.ChannelConnectivity.READY


def subscriber_client() -> SubscriberClient:
    """A client that takes messages of any size; Google's own fails at 4 MB with the emulator."""
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        return SubscriberClient()
    channel = grpc.insecure_channel(emulator, [("grpc.max_receive_message_length", -1)])
    return SubscriberClient(transport=SubscriberGrpcTransport(host=emulator, channel=channel))
