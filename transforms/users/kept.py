"""States of users kept in this process, in place of Beam's, for a live job on one machine.

There the runner and the job are one process group and die together, so that a state which the runner holds outlives
nothing: what does is the user's row. Reading and writing it through the runner took two round trips for each event,
which is what such a job spent most of its time on. What is kept here is bounded: who was not heard of for longest goes
first, and comes back from the row.
"""

import threading
from collections import OrderedDict

__all__ = ["Kept", "KeptState"]

#: How much is kept in one step, in bytes of encoded state.
MOST_BYTES = 512 * 1024 * 1024


class Kept:
    """The encoded states of one step's users. Safe for threads; one bundle at a time has a user.

    Args:
      most: bytes of encoded state that are kept.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._states: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: str) -> bytes | None:
        """The state of a user, or None where none is kept."""
        with self._lock:
            state = self._states.get(key)
            if state is not None:
                self._states.move_to_end(key)
            return state

    def commit(self, written: dict[str, bytes | None]) -> None:
        """Keep what a bundle wrote, once its rows are written; None forgets."""
        with self._lock:
            for key, state in written.items():
                self._bytes -= len(self._states.pop(key, b""))
                if state is not None:
                    self._states[key] = state
                    self._bytes += len(state)
            while self._bytes > self._most:
                _, state = self._states.popitem(last=False)
                self._bytes -= len(state)


class KeptState:
    """One user's state as a bundle sees it, with the methods of Beam's: what it writes is kept by `Kept.commit`."""

    def __init__(self, kept: Kept, written: dict[str, bytes | None], key: str) -> None:
        self._kept = kept
        self._written = written
        self._key = key

    def read(self) -> bytes | None:
        """The state, or None."""
        return self._written[self._key] if self._key in self._written else self._kept.get(self._key)

    def write(self, state: bytes) -> None:
        """Set it."""
        self._written[self._key] = state

    def clear(self) -> None:
        """Forget it."""
        self._written[self._key] = None
