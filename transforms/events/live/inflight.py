"""Messages that were read from a live source on this machine and whose outcome is not known yet.

The source of a live run and its last step are in one process and share this registry: the source notes how a message
is acknowledged, the last step does it once the message has been accounted for. What stays in here when the process
dies was never acknowledged, and comes again.
"""

import os
import threading
from collections.abc import Callable, Iterable
from itertools import count

__all__ = ["InFlight", "in_flight"]


class InFlight:
    """How each message in flight is acknowledged, by its handle. Safe for threads."""

    def __init__(self) -> None:
        self._acknowledge: dict[str, Callable[[], None]] = {}
        self._numbers = count()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._acknowledge)

    def add(self, acknowledge: Callable[[], None]) -> str:
        """Note a message that was read; returns the handle that travels with it."""
        with self._lock:
            handle = f"{os.getpid()}:{next(self._numbers)}"
            self._acknowledge[handle] = acknowledge
        return handle

    def settle(self, handles: Iterable[str]) -> None:
        """Acknowledge messages that have been accounted for; one that was settled before is passed over.

        Raises:
          RuntimeError: a handle is of another process, which alone could acknowledge it: source and sink of a live run
            on one machine must share a process (`--environment_type=LOOPBACK`).
        """
        mine = f"{os.getpid()}:"
        for handle in handles:
            if not handle.startswith(mine):
                raise RuntimeError(f"message {handle} was read by another process than {os.getpid()}")
            with self._lock:
                acknowledge = self._acknowledge.pop(handle, None)
            if acknowledge is not None:
                acknowledge()

    def clear(self) -> None:
        """Forget everything, as the end of the process would."""
        with self._lock:
            self._acknowledge.clear()


in_flight = InFlight()
