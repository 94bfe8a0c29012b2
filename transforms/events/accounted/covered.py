"""When a checkpoint covers what came of a message, so that it may be acknowledged.

What a message made is in rows, but also in the engine's state: users, timers, sends on their way. An engine that goes
back to a checkpoint forgets what came after it, and only the broker can bring it again. Beam says that a bundle is
final, but Flink's runner says so of every bundle that has ended when a checkpoint is completed, also of those that
began after its snapshot. So a first finalisation proves only that a checkpoint was completed after its bundle began. A
bundle that *began after it* becomes final by a later checkpoint, whose snapshot was taken after the first was
completed; that one covers all that had come when the first bundle began. Of what came since nobody knows: the runner
does not wait until the process has heard of a finalisation, which may be after the next snapshot.

The engine must take checkpoints one after another, and all bundles of a key must be of one place at a time. So handles
are held by key, in the process that got them.
"""

from collections.abc import Callable, Iterable
from threading import Lock

__all__ = ["Held", "Marks"]

#: How many bundles of a key each process has seen, as the engine's state has it.
Marks = dict[str, int]
#: Processes that a key remembers: several serve one where an engine spreads bundles over them.
REMEMBERED = 16


class Held:
    """The handles of one key in one process that no checkpoint covers yet. Safe for threads.

    Args:
      process: a name that no other process has.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._lock = Lock()
        self._entered = 0
        self._moment = 0
        self._era = object()
        self._waiting: list[tuple[int, list[str]]] = []
        #: What had come when the latest bundle began that is final.
        self._final = 0

    def __len__(self) -> int:
        return sum(len(handles) for _, handles in self._waiting)

    def enter(self, marks: Marks) -> Marks:
        """Begin a part of a bundle; returns the marks that the engine's state must have after it.

        If the state does not know what this process did last, the engine has gone back. What is held may be of a time
        that is forgotten then, and is dropped: it comes again.

        Args:
          marks: as the engine's state has them; empty for a new key.
        """
        with self._lock:
            if marks.get(self._process, 0) != self._entered:
                self._forget()
            self._entered += 1
            others = [(process, number) for process, number in marks.items() if process != self._process]
            return dict([*others, (self._process, self._entered)][-REMEMBERED:])

    def add(self, handles: Iterable[str]) -> None:
        """Hold handles of messages that have ended in this bundle."""
        with self._lock:
            self._moment += 1
            self._waiting.append((self._moment, [*handles]))

    def begin(self) -> Callable[[], list[str]]:
        """Note that a bundle begins here; returns what to call when it is final, which gives the handles covered."""
        with self._lock:
            era, before, begun = self._era, self._final, self._moment

        def finalised() -> list[str]:
            with self._lock:
                if self._era is not era:
                    return []
                covered = [handle for moment, handles in self._waiting if moment <= before for handle in handles]
                self._waiting = [each for each in self._waiting if each[0] > before]
                self._final = max(self._final, begun)
                return covered

        return finalised

    def _forget(self) -> None:
        self._era = object()
        self._waiting = []
        self._final = 0
