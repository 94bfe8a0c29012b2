"""How far this process has come, for a progress line and nothing else: the accounts are elements of the pipeline."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Progress", "progress"]


class Progress:
    """Counts of messages read, users folded and sends delivered since `reset`. Threads may lose a few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start a run."""
        self.read = self.users = self.sends = 0
        self.delivering = 0

    @contextmanager
    def delivers(self, count: int) -> Iterator[None]:
        """So many sends are on their way in here, and count as `delivering`."""
        with self._lock:
            self.delivering += count
        try:
            yield
        finally:
            with self._lock:
                self.delivering -= count


progress = Progress()
