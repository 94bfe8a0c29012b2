"""Where commands publish messages to a live job: its topics, its queue of events, the control table of its store."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from itertools import islice

from transforms.errors import TodokeError, WrongUse
from transforms.events.queue.append import Queue
from transforms.events.queue.file import QueueError
from transforms.events.sources import parse_queue, parse_topic
from transforms.storage.control import Control

__all__ = ["ControlFailed", "Publisher", "is_live", "open_control", "open_events", "open_topic", "publish_evenly"]

#: Publishes messages; they are durable when it returns, and of what it raises those that a `ControlFailed` names are.
Publisher = Callable[[Sequence[bytes]], None]

#: Messages that are published together: at most so many, and at most a tenth of a second's.
_AT_ONCE = 500
#: How long the broker may take to answer for one batch, in seconds.
PUBLISH_SECONDS = 60.0


class ControlFailed(TodokeError):
    """A topic, or a queue or a file in its place, did not take all messages; the text says why.

    Args:
      text: why.
      taken: the places, among those that were published together, of messages that it took nevertheless.
    """

    def __init__(self, text: str, taken: Sequence[int] = ()) -> None:
        super().__init__(text)
        self.taken = tuple(taken)


@contextmanager
def open_control(store: Control, topic: str | None) -> Iterator[Publisher]:
    """A way to publish to a live job.

    Args:
      store: has the control table that is used if there is no topic.
      topic: `pubsub:projects/P/topics/T`.

    Raises:
      WrongUse: the topic's name is wrong, or there are no credentials; or (from what is yielded) there is no such
        topic, or this account may not publish to it.
      ControlFailed: (from what is yielded) it does not take the messages.
      StoreError: (from what is yielded) the store does not take them.
    """
    if topic is None:
        yield lambda payloads: store.publish_control(payloads, time.time_ns() // 1000)
        return
    with open_topic(topic, "--control-topic") as publish:
        yield publish


def is_live(place: str) -> bool:
    """Whether a place is one that live jobs read events from, and no file."""
    return place.startswith(("pubsub:", "queue:"))


@contextmanager
def open_events(place: str, flag: str) -> Iterator[Publisher]:
    """How to publish to what a live job reads events from.

    Args:
      place: `pubsub:projects/P/topics/T`, or `queue:PATH` of a queue that is there.
      flag: that named it.

    Raises:
      WrongUse, ControlFailed: see `open_topic`.
      NoQueue: it is no queue, or cannot be written.
    """
    if not place.startswith("queue:"):
        with open_topic(place, flag) as publish:
            yield publish
        return
    try:
        path = parse_queue(place)
    except ValueError as error:
        raise WrongUse(f"{flag}: {error}") from error
    if not path.exists():
        raise WrongUse(f"{flag}: there is no queue {path}; the job that reads it makes it")
    with Queue(path) as queue:
        yield partial(_append, queue)


def _append(queue: Queue, payloads: Sequence[bytes]) -> None:
    try:
        queue.append(payloads)
    except QueueError as error:
        raise ControlFailed(str(error)) from error


def publish_evenly(
    payloads: Iterator[bytes],
    publish: Publisher,
    rate: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Publish messages evenly, at most `rate` a second; returns how many there were.

    Args:
      payloads: the messages.
      publish: where they go.
      rate: messages a second; lost time is not made up for.
      clock: in seconds.
      sleep: waits for a number of seconds.
      stopped: called before each batch; once it is true, no more are published.
    """
    published, due = 0, clock()
    while not stopped() and (batch := list(islice(payloads, max(1, min(_AT_ONCE, int(rate / 10)))))):
        if (ahead := due - clock()) > 0:
            sleep(ahead)
        due = max(due, clock()) + len(batch) / rate
        publish(batch)
        published += len(batch)
    return published


@contextmanager
def open_topic(topic: str, flag: str) -> Iterator[Publisher]:
    """How to publish to a topic of Pub/Sub.

    Args:
      topic: `pubsub:projects/P/topics/T`.
      flag: that named it.

    Raises:
      WrongUse: the topic is none, or there are no credentials; or (from what is yielded) it is not there, or may not
        be published to.
      ControlFailed: (from what is yielded) it does not take the messages.
    """
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
    from google.api_core.retry import Retry
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.pubsub_v1 import PublisherClient

    from transforms.account import UNREADABLE, auth_fault, google_fault

    try:
        path = parse_topic(topic)
    except ValueError as error:
        raise WrongUse(f"{flag}: {error}") from error
    try:
        client = PublisherClient()
    except UNREADABLE as error:
        advice = "run `gcloud auth application-default login`, or set PUBSUB_EMULATOR_HOST to use the emulator"
        raise WrongUse(f"{flag}: no credentials for Pub/Sub: {auth_fault(error)}; {advice}") from error
    bounded = Retry(timeout=PUBLISH_SECONDS)  # the client's own default goes on for ten minutes

    def publish(payloads: Sequence[bytes]) -> None:
        answers = [client.publish(path, payload, retry=bounded) for payload in payloads]
        try:
            for answer in answers:
                answer.result(PUBLISH_SECONDS)
        except (GoogleAPIError, GoogleAuthError, TimeoutError) as error:
            wait(answers, PUBLISH_SECONDS)  # they went out in several requests, each with an answer of its own
            taken = [place for place, each in enumerate(answers) if each.done() and each.exception() is None]
            if isinstance(error, NotFound) and not taken:
                raise WrongUse(f"{flag}: there is no topic {path}") from error
            if isinstance(error, Forbidden) and not taken:
                raise WrongUse(f"{flag}: this account may not publish to {path}: {error}") from error
            said = f"topic `{path}` did not take the messages: {google_fault(error) or 'no answer in time'}"
            raise ControlFailed(said, taken) from error

    yield publish
    client.stop()
