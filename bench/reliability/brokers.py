"""What a proof publishes to: the Pub/Sub emulator, seen through a proxy, or an embedded queue."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PullResponse

from transforms.events.queue.append import Queue
from transforms.events.queue.read import QueueReader

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from flaky import Flaky

__all__ = ["PROJECT", "Broker", "FileQueue", "PubsubBroker"]

PROJECT = "proofs"


class Broker(Protocol):
    """What calls are published to, and what it knows of them.

    Attributes:
      events: what `--events` names.
      environment: what the job needs to find it.
    """

    events: str
    environment: dict[str, str]

    def publishing(self) -> Callable[[bytes], "Future[Any]"]:
        """What publishes a call; the answer comes when the broker has it."""

    def published(self) -> list[tuple[str, int]]:
        """Our id of each message that it has, and when it arrived there (microseconds UTC)."""

    def again(self) -> int | None:
        """How many deliveries were repetitions; None where nobody can see it."""

    def stop(self) -> None:
        """Stop what was started for it."""


class PubsubBroker:
    """The Pub/Sub emulator as the job sees it: through a proxy that notes each delivery.

    Args:
      host: of the emulator.
      name: of the topic that is made, and of its subscription.
      port: the proxy's; 0 takes a free one.
      deadline: the subscription's, in seconds.

    Attributes:
      deliveries: how often the broker gave out each of its messages, by its id.
    """

    def __init__(self, host: str, name: str, *, port: int = 0, deadline: int = 10) -> None:
        self.proxy = Flaky(host, port)
        self.deliveries: Counter[str] = Counter()
        self._published: dict[str, tuple[str, int]] = {}
        self.proxy.always("Pull", self._pull)
        publisher, subscriber = PublisherClient(), SubscriberClient()
        self._topic = publisher.topic_path(PROJECT, name)
        subscription = f"projects/{PROJECT}/subscriptions/{name}"
        publisher.create_topic(name=self._topic)
        subscriber.create_subscription(name=subscription, topic=self._topic, ack_deadline_seconds=deadline)
        subscriber.close()
        self.events = f"pubsub:{subscription}"
        self.environment = {"PUBSUB_EMULATOR_HOST": self.proxy.host}

    def publishing(self) -> Callable[[bytes], "Future[Any]"]:
        """By a client of its own."""
        publisher = PublisherClient()
        return lambda payload: publisher.publish(self._topic, payload)

    def published(self) -> list[tuple[str, int]]:
        """What it has given out."""
        return [*self._published.values()]

    def again(self) -> int | None:
        """As the proxy has counted."""
        return self.deliveries.total() - len(self.deliveries)

    def stop(self) -> None:
        """Stop the proxy."""
        self.proxy.stop()

    def _pull(self, requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        # The broker must learn that a puller has gone, or it would go on giving messages to nobody.
        call = upstream(requests, timeout=context.time_remaining())
        context.add_callback(call.cancel)
        for answer in call:
            for received in PullResponse.pb(PullResponse.deserialize(answer)).received_messages:
                message = received.message
                self.deliveries[message.message_id] += 1
                published = message.publish_time.ToMicroseconds()
                self._published[message.message_id] = (_id_in(message.data), published)
            yield answer


class FileQueue:
    """An embedded queue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue = Queue(path)
        self.events = f"queue:{path}"
        self.environment: dict[str, str] = {}

    def publishing(self) -> Callable[[bytes], "Future[Any]"]:
        """By one call of the queue for each, many of which share a commit."""
        return lambda payload: self._queue.submit([payload])

    def published(self) -> list[tuple[str, int]]:
        """What is in the file."""
        with closing(QueueReader(self._path)) as reader:
            return [(_id_in(each.payload), each.arrived) for page in reader.pages() for each in page]

    def again(self) -> int | None:
        """Only the job knows."""
        return None

    def stop(self) -> None:
        """Close it."""
        self._queue.close()


def _id_in(payload: bytes) -> str:
    return payload.partition(b'"messageId": "')[2].partition(b'"')[0].decode()
