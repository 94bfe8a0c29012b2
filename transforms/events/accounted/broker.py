"""Pub/Sub as any worker sees it: messages by unary pulls, acknowledged later by their ids, from here or from elsewhere.

Leases are not extended: the subscription's own deadline is how long a message may be on its way. Times are microseconds
since the epoch, UTC.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

from google.api_core.exceptions import (
    Aborted,
    DeadlineExceeded,
    GoogleAPIError,
    InternalServerError,
    ServiceUnavailable,
    TooManyRequests,
    Unknown,
)
from google.api_core.retry import Retry, if_transient_error
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.types import PullResponse

from transforms.events.accounted.handles import by_subscription
from transforms.events.live.feed import now
from transforms.events.live.pubsub import IDS_AT_ONCE, PULLED_AT_ONCE, Watermark, subscriber_client

__all__ = ["Broker", "Pulled", "SubscriptionReader"]

_log = logging.getLogger(__name__)
#: How long a reader waits for messages, and how often it asks meanwhile, in seconds. A checkpoint waits for it.
WAIT_SECONDS, ASK_SECONDS = 1.0, 0.1
#: How long the service may take to answer, in seconds.
ANSWER_SECONDS = 30.0
#: How long a reader rests while the service is away, in seconds.
AWAY_SECONDS = 1.0
#: What passes (cloud.google.com/pubsub/docs/reference/error-codes). An error that is raised takes the engine back.
_AWAY = (Aborted, DeadlineExceeded, InternalServerError, ServiceUnavailable, TooManyRequests, Unknown)
#: How long acknowledging is tried, in seconds. What it fails for comes again, and is found to be a duplicate.
ACKNOWLEDGE_SECONDS = 20.0


class Pulled(NamedTuple):
    """A message: its payload, the id by which it is acknowledged, and its time of publishing."""

    payload: bytes
    ack_id: str
    published: int


class Broker:
    """A client of this process. Safe for threads."""

    def __init__(self) -> None:
        self._client: SubscriberClient = subscriber_client()

    def pull(self, subscription: str, *, wait: bool) -> list[Pulled] | None:
        """Messages that are there, or come while it waits; None if the service is away.

        It asks what is there, again and again. A call that waited in the broker for messages would be given up at its
        deadline, and messages that were on their way to it then would come only when their leases end. Beam's source
        for Java asks so, too.

        Raises:
          google.api_core.exceptions.GoogleAPIError: the subscription may not be read.
        """
        until = time.monotonic() + (WAIT_SECONDS if wait else 0.0)
        while True:
            try:
                found = self._pull(subscription)
            except _AWAY:
                return None
            if found or time.monotonic() >= until:
                return found
            time.sleep(ASK_SECONDS)

    def _pull(self, subscription: str) -> list[Pulled]:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            response = self._client.pull(
                subscription=subscription,
                max_messages=PULLED_AT_ONCE,
                timeout=ANSWER_SECONDS,
                return_immediately=True,
                retry=None,
            )
        received = PullResponse.pb(response).received_messages
        return [Pulled(each.message.data, each.ack_id, each.message.publish_time.ToMicroseconds()) for each in received]

    def acknowledge(self, handles: Iterable[str]) -> int:
        """Acknowledge messages; returns for how many that failed. It never raises: they come again."""
        failed = 0
        for subscription, ack_ids in by_subscription(handles).items():
            for start in range(0, len(ack_ids), IDS_AT_ONCE):
                failed += self._acknowledge(subscription, ack_ids[start : start + IDS_AT_ONCE])
        return failed

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _acknowledge(self, subscription: str, ack_ids: list[str]) -> int:
        retry = Retry(predicate=if_transient_error, initial=0.1, maximum=2.0, timeout=ACKNOWLEDGE_SECONDS)
        try:
            self._client.acknowledge(
                subscription=subscription, ack_ids=ack_ids, retry=retry, timeout=ACKNOWLEDGE_SECONDS
            )
        except GoogleAPIError as error:
            _log.warning(
                "%d messages of %s are not acknowledged, and come again: %s", len(ack_ids), subscription, error
            )
            return len(ack_ids)
        return 0


class SubscriptionReader:
    """One of the readers of a subscription: what it pulls, and the publish time before which nothing is expected.

    Args:
      broker: where it pulls.
      subscription: `projects/P/subscriptions/S`.
    """

    def __init__(self, broker: Broker, subscription: str, clock: Callable[[], int] = now) -> None:
        self._broker = broker
        self._subscription = subscription
        self._seen = Watermark(clock)
        self.watermark = 0

    def pull(self, *, wait: bool) -> list[Pulled]:
        """Messages, the oldest first; it waits for some, if told so, and rests while the service is away."""
        pulled = self._broker.pull(self._subscription, wait=wait)
        if pulled is None:
            time.sleep(AWAY_SECONDS)
        messages = sorted(pulled or (), key=lambda each: each.published)
        self.watermark = self._seen.seen(messages[0].published if messages else None, deaf=pulled is None)
        return messages
