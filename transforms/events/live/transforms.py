"""The ends of a live graph on one machine: reading with handles, acknowledging them, and publishing to a topic."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from time import monotonic
from typing import Any

import apache_beam as beam
from apache_beam.coders import PickleCoder
from apache_beam.io.gcp.pubsub import parse_topic
from apache_beam.io.unbounded_source import CheckpointMark, ReadFromUnboundedSource, UnboundedReader, UnboundedSource
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.types import BatchSettings

from transforms.events.live.batches import encode_messages
from transforms.events.live.control import ControlTable
from transforms.events.live.feed import Feed, Feeds, SharedFeed
from transforms.events.live.inflight import InFlight
from transforms.events.live.pubsub import Subscriber
from transforms.events.live.queued import QueueFeed, QueuePlace
from transforms.job import Job
from transforms.storage.open import open_store

__all__ = ["Acknowledge", "Publish", "ReadControlTable", "ReadLive", "ReadQueue", "TopicPublisher"]

#: How many messages are handed on together at most, and how long a source that had fewer is left alone, in seconds.
#: Each look costs a bundle of the runner in this step and in those after it.
BATCH_MESSAGES = 1_000
POLL_SECONDS = 0.1
#: How many full batches one bundle of the source hands on: later steps see none of them before it ends.
BUNDLE_BATCHES = 2
#: How long the broker may take to answer for a bundle, in seconds.
PUBLISH_SECONDS = 60.0

#: `Message.source` of a row of the control table.
CONTROL = "control"


class ReadLive(beam.PTransform):
    """Read a Pub/Sub subscription as messages with handles, see `inflight`; only for steps in this process.

    Waiting messages are handed on together, as one element (see `batches`) with the timestamp of the oldest.

    Args:
      subscription: `projects/P/subscriptions/S`.
      job: whose step it is.
    """

    def __init__(self, subscription: str, job: Job) -> None:
        super().__init__()
        self._subscription = subscription
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        """Wire the source."""
        source = _LiveSource(f"pubsub:{self._subscription}", _open_subscription, self._subscription, self._job)
        return begin | "ReadStream" >> _read(source)


class ReadQueue(beam.PTransform):
    """Read an embedded queue as messages with handles, as `ReadLive` does.

    Args:
      place: the queue, and the store in which its messages are acknowledged.
      job: whose step it is; its process is `reading_queue`.
    """

    def __init__(self, place: QueuePlace, job: Job) -> None:
        super().__init__()
        self._place = place
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        """Wire the source."""
        source = _LiveSource(f"queue:{self._place.path}", QueueFeed, self._place, self._job)
        return begin | "ReadQueue" >> _read(source)


class ReadControlTable(beam.PTransform):
    """Read the control table of a store as messages with handles, as `ReadLive` does; their source is `control`.

    Args:
      store: the store's URL.
      job: whose step it is.
    """

    def __init__(self, store: str, job: Job) -> None:
        super().__init__()
        self._store = store
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[bytes]:
        """Wire the source."""
        return begin | "ReadTable" >> _read(_LiveSource(CONTROL, _open_control, self._store, self._job))


def _open_subscription(path: str, registry: InFlight) -> Feed:
    return Subscriber(path, registry)


def _open_control(url: str, registry: InFlight) -> Feed:
    return ControlTable(open_store(url), registry)


def _read(source: UnboundedSource) -> beam.PTransform:
    reading = ReadFromUnboundedSource(
        source,
        poll_interval=POLL_SECONDS,
        max_records_per_bundle=BUNDLE_BATCHES,
    )
    return reading.with_output_types(bytes)


class _LiveSource(UnboundedSource):
    """Read by this process and acknowledged on account, not by Beam's checkpoints: a local runner finalizes them before
    later steps have run."""

    def __init__(self, name: str, make: Callable[[Any, InFlight], Feed], place: Any, job: Job) -> None:
        self._name = name
        self._make = make
        self._place = place
        self._job = job

    def split(self, desired_num_splits: int, options: Any = None) -> Iterable[UnboundedSource]:  # noqa: ARG002
        return [self]

    def create_reader(self, options: Any, checkpoint_mark: CheckpointMark | None) -> UnboundedReader:  # noqa: ARG002
        registry = self._job.part(InFlight)
        return _LiveReader(self._name, self._place, self._job.part(Feeds), lambda: self._make(self._place, registry))

    def get_checkpoint_mark_coder(self) -> PickleCoder:
        return PickleCoder()


class _LiveReader(UnboundedReader):
    def __init__(self, name: str, place: Any, feeds: Feeds, make: Callable[[], Feed]) -> None:
        self._name = name
        self._key = f"{name} {place}"
        self._feeds = feeds
        self._feed: SharedFeed | None = feeds.acquire(self._key, make)
        self._rests_until = 0.0

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        feed = self._open()
        if monotonic() < self._rests_until:
            return False
        taken, self._stamp = feed.take_many(BATCH_MESSAGES)
        if len(taken) < BATCH_MESSAGES:
            self._rests_until = monotonic() + POLL_SECONDS
        self._batch = [(payload, self._name, published, handle) for payload, handle, published in taken]
        return bool(taken)

    def get_current(self) -> bytes:
        return encode_messages(self._batch)

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(micros=self._stamp)

    def get_watermark(self) -> Timestamp:
        return Timestamp(micros=self._open().watermark())

    def get_checkpoint_mark(self) -> CheckpointMark:
        return CheckpointMark()

    def close(self) -> None:
        if self._feed is not None:
            self._feed = None
            self._feeds.release(self._key)

    def _open(self) -> SharedFeed:
        if self._feed is None:
            raise ValueError(f"the reader of {self._name} is closed")
        return self._feed


class Acknowledge(beam.PTransform):
    """Acknowledge the messages whose handles come, in lists: the last step of a live graph on one machine.

    Args:
      job: whose step it is.

    Raises:
      RuntimeError: when it runs, for a handle of another process.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, handles: beam.PCollection[list[str]]) -> Any:
        """Wire the step."""
        return handles | "Settle" >> beam.ParDo(_Settle(self._job))


@with_input_types(list[str])
class _Settle(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self._job = job

    def start_bundle(self) -> None:
        self._handles: list[str] = []

    def process(self, handles: list[str]) -> None:
        self._handles += handles

    def finish_bundle(self) -> None:
        self._job.part(InFlight).settle(handle for handle in self._handles if handle)


class Publish(beam.PTransform):
    """Publish payloads to a Pub/Sub topic; emits the handles that came with them once the broker has them.

    Elements are (payload, handle); the handle is empty where there is none. A bundle that runs again publishes again.

    Args:
      topic: `projects/P/topics/T`.

    Raises:
      ValueError: while the graph is built, for the name of a topic that cannot be.
      TimeoutError, google.api_core.exceptions.GoogleAPICallError: when it runs, if the broker does not take a payload.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        parse_topic(topic)
        self._topic = topic

    def expand(self, payloads: beam.PCollection[tuple[bytes, str]]) -> beam.PCollection[list[str]]:
        """Wire the step."""
        return payloads | "Send" >> beam.ParDo(_Publish(self._topic))


@with_input_types(tuple[bytes, str])
@with_output_types(list[str])
class _Publish(beam.DoFn):
    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._shared = Shared()

    def setup(self) -> None:
        self._client = self._shared.acquire(_publisher)

    def start_bundle(self) -> None:
        self._answers: list[Future[str]] = []
        self._handles: list[str] = []
        self._at = GlobalWindow().start

    def process(self, element: tuple[bytes, str], timestamp: Timestamp = beam.DoFn.TimestampParam) -> None:
        payload, handle = element
        self._answers.append(self._client.publish(self._topic, payload))
        self._at = max(self._at, timestamp)
        if handle:
            self._handles.append(handle)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        _wait_for(self._answers)
        if self._handles:
            yield WindowedValue(self._handles, self._at, (GlobalWindow(),))


class TopicPublisher:
    """Publishes to a topic from inside a step. Its copies in one process share a connection.

    Args:
      topic: `projects/P/topics/T`.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._shared = Shared()

    def publish(self, payloads: Iterable[bytes]) -> None:
        """Publish, and wait until the broker has them all.

        Raises:
          TimeoutError, google.api_core.exceptions.GoogleAPICallError: it does not take one.
        """
        client = self._shared.acquire(_publisher)
        _wait_for([client.publish(self._topic, payload) for payload in payloads])


def _wait_for(answers: Iterable[Future[str]]) -> None:
    until = monotonic() + PUBLISH_SECONDS
    for answer in answers:
        answer.result(max(0.0, until - monotonic()))


def _publisher() -> PublisherClient:
    return PublisherClient(BatchSettings(max_messages=1_000))
