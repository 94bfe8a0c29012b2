"""Where refused calls are kept, for people to look at and mend."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from services.problems import away
from services.sink import KeyedPayload, Sink
from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.rows import kept
from transforms.storage.dead_letters import DeadLetters
from transforms.storage.rows import DeadLetterRow
from transforms.storage.store import StoreError

__all__ = ["Letters", "SinkLetters", "StoreLetters"]

#: What may wait to be written, in bytes.
WAITING_BYTES = 16 * 1024 * 1024
#: What a letter takes beside its payload.
_EACH = 500

_log = logging.getLogger(__name__)


class Letters(Protocol):
    """Keeps dead letters."""

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Return once they are kept.

        Raises:
          HttpProblem: 503, they may not be.
        """

    def close(self) -> None:
        """Write what waits."""


class StoreLetters:
    """Dead letters in the store, where those of the job are. One thread writes; few of all calls are refused.

    Args:
      store: gives the store, or raises StoreError.
      clock: microseconds since the epoch.
    """

    def __init__(self, store: Callable[[], DeadLetters], clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._bytes = 0
        self._writer = ThreadPoolExecutor(1, "letters")

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """See `Letters`."""
        size = sum(len(letter.payload) + _EACH for letter in letters)
        if self._bytes + size > WAITING_BYTES:
            raise away("too many refused calls wait to be kept")
        rows = [kept(letter, self._clock()) for letter in letters]
        self._bytes += size
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, rows)
        except StoreError as error:
            _log.warning("refused calls could not be kept: %s", error)
            raise away("refused calls cannot be kept now") from None
        finally:
            self._bytes -= size

    def close(self) -> None:
        """See `Letters`. The store stays open."""
        self._writer.shutdown()

    def _write(self, rows: Sequence[DeadLetterRow]) -> None:
        self._store().write_dead_letters(rows)


class SinkLetters:
    """Dead letters as messages of a topic of their own, each as a line of a file of dead letters."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """See `Letters`."""
        await self._sink.publish([KeyedPayload(letter.to_json().encode(), "") for letter in letters])

    def close(self) -> None:
        """See `Letters`."""
        self._sink.close()
