"""Sends that wait because their provider refuses them or is down: counted for each job here, and told once a minute.

For logs and a progress line and nothing else: what became of each send is in the ledger.
"""

import logging
import threading
import time
from collections.abc import Callable

from transforms.channels.gate import HELD
from transforms.channels.outcome import Delivery
from transforms.logs import fields

__all__ = ["HeldUp"]

#: Between two lines about a channel, in seconds.
TOLD_SECONDS = 60.0

_log = logging.getLogger(__name__)


class HeldUp:
    """The sends that wait for a provider, by channel. Safe for threads.

    Args:
      clock: seconds on any scale that does not go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, set[str]] = {}
        self._said: dict[str, tuple[str, str]] = {}
        self._told: dict[str, float] = {}

    def note(self, delivery: Delivery) -> None:
        """What became of a send: it waits (for a provider, not for the end of quiet hours or a hold), or no longer."""
        channel = delivery.send.channel
        with self._lock:
            waiting = self._waiting.setdefault(channel, set())
            if delivery.state == "later" and delivery.reason not in ("quiet", HELD):
                waiting.add(delivery.send.id)
                if delivery.detail or channel not in self._said:
                    self._said[channel] = delivery.reason, delivery.detail
            else:
                waiting.discard(delivery.send.id)

    def tell(self) -> None:
        """Log each channel where sends wait, once a minute, with the newest reason and how many wait."""
        with self._lock:
            for channel, waiting in self._waiting.items():
                if not waiting:
                    self._said.pop(channel, None)
                elif self._clock() >= self._told.get(channel, -TOLD_SECONDS) + TOLD_SECONDS:
                    self._told[channel] = self._clock()
                    reason, detail = self._said[channel]
                    why, about = ": ".join(filter(None, (reason, detail))), fields(channel=channel, reason=reason)
                    _log.warning("%s refuses: %s; %s wait", channel, why, f"{len(waiting):,}", extra=about)

    def counts(self) -> dict[str, int]:
        """How many wait, by channel; those where none does are left out."""
        with self._lock:
            return {channel: len(waiting) for channel, waiting in sorted(self._waiting.items()) if waiting}
