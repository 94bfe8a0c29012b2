"""How far a job has come here, only for a progress line: the accounts are elements of the pipeline."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Progress"]


class Progress:
    """Counts of messages read, users folded or told of an announcement, and sends delivered. Threads may lose a few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read = self.users = self.sends = 0
        self.delivering = 0

    @contextmanager
    def delivers(self, count: int) -> Iterator[None]:
        """Count sends as `delivering` while they are on their way in here."""
        with self._lock:
            self.delivering += count
        try:
            yield
        finally:
            with self._lock:
                self.delivering -= count
