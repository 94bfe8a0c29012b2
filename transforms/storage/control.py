"""The rows of the control table as they are published."""

import os
import threading
from collections.abc import Sequence
from time import time_ns

from transforms.storage.rows import ControlRow

__all__ = ["ControlRows", "least_id"]


def least_id(published: int) -> str:
    """What sorts before the id of each row that was published at that time, in microseconds UTC, or later."""
    return f"{published + 2**63:016x}"


class ControlRows:
    """Makes rows whose ids nobody else makes, and which sort by `published`, then in the order they were made.

    An id is three hexadecimal numbers: the time of publishing; the wall clock in nanoseconds, counted on where the
    clock stands or is set back, so that the order is exact in one process and the clocks' among several; and a
    random number for the publisher. Safe for threads.
    """

    def __init__(self) -> None:
        self._publisher = os.urandom(8).hex()
        self._next = 0
        self._lock = threading.Lock()

    def make(self, payloads: Sequence[bytes], at: int) -> list[ControlRow]:
        """A row for each payload, published at a time in microseconds since the epoch."""
        with self._lock:
            first = max(self._next, time_ns())
            self._next = first + len(payloads)
        return [
            ControlRow(f"{least_id(at)}-{first + place:016x}-{self._publisher}", at, payload)
            for place, payload in enumerate(payloads)
        ]
