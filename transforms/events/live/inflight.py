"""Messages that were read from a live source on this machine and whose outcome is not known yet.

The source of a live job and its last step are in one process and share this registry (see `Job`): the source notes how
a message is acknowledged, the last step does it once the message has been accounted for. What is left here when the
process dies was never acknowledged, and comes again.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from transforms.events.plain import quoted

__all__ = ["InFlight"]

#: Acknowledges messages by what `InFlight.add` noted for each: one call for all that are settled together.
Acknowledger = Callable[[list[Any]], None]
#: Notes in the transaction that is open on a store that messages are done with; they are settled later all the same.
Within = Callable[[Any, list[Any]], None]


class InFlight:
    """How each message in flight is acknowledged, by its handle. Safe for threads. `settled` counts those that were.

    Args:
      clock: seconds on any scale that does not go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._numbers = count()
        self.settled = 0
        #: Whether any message can be noted in the transaction of what it caused.
        self.is_transactional = False
        self._lock = threading.Lock()
        self._mine = f"{os.getpid()}:"

    def __len__(self) -> int:
        return len(self._held)

    def add(
        self, acknowledge: Acknowledger, message: Any, published: int | None = None, *, within: Within | None = None
    ) -> str:
        """Note a message that was read, and was published then (microseconds UTC); returns the handle that travels
        with it. `within` is for `write_last`.
        """
        with self._lock:
            handle = f"{self._mine}{next(self._numbers)}"
            self._held[handle] = _Held(acknowledge, message, self._clock(), published, within)
            self.is_transactional |= within is not None
        return handle

    def write_last(self, store: Any, handles: Iterable[str]) -> None:
        """In the transaction that is open on a store, note the messages of which these handles are all that is left.

        Of the others something is still under way: they are noted when they are settled. All these handles must be
        settled once the transaction stands.
        """
        last: dict[Within, list[Any]] = {}
        with self._lock:
            for handle, times in Counter(handles).items():
                held = self._held.get(handle)
                if held is not None and held.within is not None and held.left == times:
                    last.setdefault(held.within, []).append(held.message)
        for within, messages in last.items():
            within(store, messages)

    def retain(self, handle: str, times: int = 1) -> None:
        """Expect more calls of `settle`: a message that became n others is retained n - 1 times.

        Call this before any of the others can be settled. A message that was settled already is skipped.

        Raises:
          RuntimeError: as `settle` does.
        """
        self._check(handle)
        with self._lock:
            if held := self._held.get(handle):
                held.left += times

    def bind(self, handles: list[str], times: int) -> str:
        """A handle that stands for several: once it has been settled so many times, each of them is settled once."""
        bound = self.add(self._settle_bound, handles)
        self.retain(bound, times - 1)
        return bound

    def settle(self, handles: Iterable[str]) -> None:
        """Acknowledge messages that have been accounted for; one that was settled before is skipped.

        Raises:
          RuntimeError: a handle is of another process, which alone could acknowledge it: source and sink of a live run
            on one machine must share a process (`--environment_type=LOOPBACK`).
        """
        done: dict[Acknowledger, list[Any]] = {}
        for handle in handles:
            self._check(handle)
            with self._lock:
                held = self._held.get(handle)
                if held is None:
                    continue
                held.left -= 1
                if not held.left:
                    del self._held[handle]
                    self.settled += 1
                    done.setdefault(held.acknowledge, []).append(held.message)
        for acknowledge, messages in done.items():
            acknowledge(messages)

    def _settle_bound(self, bound: list[list[str]]) -> None:
        self.settle(handle for handles in bound for handle in handles)

    def oldest(self) -> float:
        """How long the oldest message has been in flight, in seconds; 0 if none is."""
        with self._lock:
            first = next(iter(self._held.values()), None)
            return self._clock() - first.since if first else 0.0

    def oldest_published(self) -> int | None:
        """When the oldest message in flight was published; None if none is."""
        with self._lock:
            return min((each.published for each in self._held.values() if each.published is not None), default=None)

    def _check(self, handle: str) -> None:
        if not handle.startswith(self._mine):
            raise RuntimeError(
                f"message {quoted(handle)} was read by another process than {os.getpid()}: a live run on one machine "
                "needs its steps in one process (--environment_type=LOOPBACK)"
            )


class _Held:
    __slots__ = ("acknowledge", "left", "message", "published", "since", "within")

    def __init__(
        self, acknowledge: Acknowledger, message: Any, since: float, published: int | None, within: Within | None
    ) -> None:
        self.within = within
        self.published = published
        self.acknowledge = acknowledge
        self.message = message
        self.since = since
        self.left = 1
