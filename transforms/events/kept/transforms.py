"""Keeping dead letters in the store, as a Beam transform."""

import time
from collections.abc import Callable, Iterable

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.shared import Shared

from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.rows import kept
from transforms.storage.open import open_store
from transforms.storage.rows import DeadLetterRow

__all__ = ["KEPT_FOR", "MOST_BYTES", "MOST_ROWS", "KeepDeadLetters"]

#: How long letters are kept by default, in microseconds: 30 days.
KEPT_FOR = 30 * 24 * 3_600_000_000
#: The most letters that are kept, and the most bytes, about: the newest.
MOST_ROWS, MOST_BYTES = 100_000, 500_000_000
#: How many letters are written together, and after how many of them old ones are looked for.
_AT_ONCE, _BETWEEN = 500, 5_000


class KeepDeadLetters(beam.PTransform):
    """Keep dead letters in a store, and hand them on.

    They are written when the bundle ends, before later steps end theirs: so no message is acknowledged before its
    letter is kept. A bundle that runs again keeps none twice. Letters that are too old, or too many, are deleted now
    and then.

    Args:
      store: the store's URL.
      kept_for: how long they are kept, in microseconds.
      clock: the wall clock, in microseconds.
    """

    def __init__(
        self, store: str, kept_for: int = KEPT_FOR, clock: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        super().__init__()
        self._step = _Keep(store, kept_for, clock)

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[DeadLetter]:
        """Wire the step."""
        return letters | "Write" >> beam.ParDo(self._step)


@with_input_types(DeadLetter)
@with_output_types(DeadLetter)
class _Keep(beam.DoFn):
    def __init__(self, store: str, kept_for: int, clock: Callable[[], int]) -> None:
        self._url = store
        self._kept_for = kept_for
        self._clock = clock
        self._shared = Shared()

    def setup(self) -> None:
        self._store = self._shared.acquire(lambda: open_store(self._url), tag=self._url)
        self._since_pruned = _BETWEEN  # what an earlier process kept is checked with the first letters

    def start_bundle(self) -> None:
        self._rows: list[DeadLetterRow] = []

    def process(self, letter: DeadLetter) -> Iterable[DeadLetter]:
        self._rows.append(kept(letter, self._clock()))
        if len(self._rows) >= _AT_ONCE:
            self._write()
        return (letter,)

    def finish_bundle(self) -> None:
        self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        self._store.write_dead_letters(rows)
        self._since_pruned += len(rows)
        if self._since_pruned >= _BETWEEN:
            self._store.prune_dead_letters(self._clock() - self._kept_for, MOST_ROWS, MOST_BYTES)
            self._since_pruned = 0
