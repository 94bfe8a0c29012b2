"""A topic of Pub/Sub as the sink, with the user as ordering key."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from google.api_core.exceptions import Forbidden, GoogleAPIError, RetryError
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient
from google.cloud.pubsub_v1.publisher.exceptions import FlowControlLimitError, PublishToPausedOrderingKeyException
from google.cloud.pubsub_v1.types import BatchSettings, LimitExceededBehavior, PublisherOptions, PublishFlowControl

from services.problems import away
from services.sink import KeyedPayload
from transforms.events.plain import counted

__all__ = ["TopicSink"]

#: How long one publishing may take with all its tries, in seconds.
PUBLISH_SECONDS = 5.0
#: For how long a check counts, in seconds.
CHECKED_SECONDS = 1.0
#: For how long nothing is tried after a failure, in seconds: answers come at once meanwhile.
AWAY_SECONDS = 1.0
#: What may wait to be published.
WAITING_MESSAGES, WAITING_BYTES = 50_000, 128 * 1024 * 1024
#: A request of the library has at most so many messages, and waits so long for more, in seconds.
BATCH_MESSAGES, BATCH_SECONDS = 1_000, 0.01

_ERRORS = (GoogleAPIError, GoogleAuthError, RetryError, FlowControlLimitError, PublishToPausedOrderingKeyException)


_log = logging.getLogger(__name__)


class TopicSink:
    """Publishes to a topic; see `Sink`.

    Args:
      topic: `projects/P/topics/T`.
      ordering: whether a user's messages keep their order.
    """

    def __init__(self, topic: str, *, ordering: bool) -> None:
        self._topic = topic
        self._ordering = ordering
        self._away_until = 0.0
        self._checked_until = 0.0
        self._is_away, self._is_tried = False, False
        flow = PublishFlowControl(WAITING_MESSAGES, WAITING_BYTES, LimitExceededBehavior.ERROR)
        # With ordering, the library makes any retry one without end. So there is none: whoever sent sends again.
        self._retry = None if ordering else Retry(timeout=PUBLISH_SECONDS)
        self._client = PublisherClient(
            BatchSettings(max_messages=BATCH_MESSAGES, max_latency=BATCH_SECONDS),
            PublisherOptions(enable_message_ordering=ordering, flow_control=flow),
        )

    async def publish(self, messages: Sequence[KeyedPayload]) -> None:
        """See `Sink`. Of a broker that was away, one request at a time finds out whether it is back."""
        self._raise_if_away()
        if self._is_away and self._is_tried:
            raise away("the broker does not take more now")
        self._is_tried = tries = self._is_away
        try:
            await self._published(messages)
        finally:
            if tries:
                self._is_tried = False

    async def _published(self, messages: Sequence[KeyedPayload]) -> None:
        futures = [self._submitted(message) for message in messages]
        found = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
        failed = [each for each in zip(messages, found, strict=True) if isinstance(each[1], BaseException)]
        if not failed:
            self._is_away = False
            return
        if self._ordering:  # a key whose message failed takes none until it is told to
            for key in {message.user for message, _ in failed if message.user}:
                self._client.resume_publish(self._topic, key)
        for _, error in failed:
            if isinstance(error, BaseException) and not isinstance(error, _ERRORS):
                raise error
        if not self._is_away:  # else the log would have it every second
            _log.warning("the topic %s did not take %s: %s", self._topic, counted(len(failed), "message"), failed[0][1])
        if len(failed) == len(messages):
            self._is_away, self._away_until = True, time.monotonic() + AWAY_SECONDS
        raise away("the broker does not take more now")

    async def check(self) -> None:
        """See `Sink`: asks the broker for the topic; an account that may only publish is ready, too.

        What was found counts for a second: anybody may ask.
        """
        self._raise_if_away()
        if time.monotonic() < self._checked_until:
            return
        try:
            await asyncio.to_thread(self._client.get_topic, topic=self._topic, retry=None, timeout=PUBLISH_SECONDS)
        except Forbidden:  # it answers, and does not show the topic
            pass
        except _ERRORS as error:
            if not self._is_away:
                _log.warning("the topic %s cannot be seen: %s", self._topic, error)
            self._is_away, self._away_until = True, time.monotonic() + AWAY_SECONDS
            raise away("the broker does not answer") from None
        self._checked_until = time.monotonic() + CHECKED_SECONDS

    def close(self) -> None:
        """See `Sink`."""
        self._client.stop()
        self._client.transport.close()

    def _submitted(self, message: KeyedPayload) -> Any:
        key = message.user if self._ordering else ""
        return self._client.publish(
            self._topic, message.payload, ordering_key=key, retry=self._retry, timeout=PUBLISH_SECONDS
        )

    def _raise_if_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise away("the broker does not take more now")
