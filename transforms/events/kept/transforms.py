"""Keeping dead letters in the store, as a Beam transform."""

import time
from collections.abc import Callable, Iterable

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types

from transforms.events.dead_letter import DeadLetter
from transforms.events.kept.pruning import KEPT_FOR, prune
from transforms.events.kept.rows import kept
from transforms.storage.rows import DeadLetterRow
from transforms.storage.transforms import StoreDoFn

__all__ = ["KeepDeadLetters"]

#: How many letters are written together at most, and of how many bytes.
_AT_ONCE, _BYTES_AT_ONCE = 500, 8_000_000
#: After how many letters old ones are looked for, of how many bytes, and after what time.
_BETWEEN, _BYTES_BETWEEN, _TIME_BETWEEN = 5_000, 50_000_000, 24 * 3_600_000_000


class KeepDeadLetters(beam.PTransform):
    """Keep dead letters in a store, and hand them on.

    They are written when the bundle ends, before later steps end theirs: so no message is acknowledged before its
    letter is kept. A bundle that runs again keeps none twice. Letters that are too old, or too many, are deleted when
    others come (after a day, 5,000 letters or 50 MB), and where nothing comes by whoever works on the store: see
    `pruning`.

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
class _Keep(StoreDoFn):
    def __init__(self, store: str, kept_for: int, clock: Callable[[], int]) -> None:
        super().__init__(store)
        self._kept_for = kept_for
        self._clock = clock

    def setup(self) -> None:
        super().setup()
        self._prune_at = self._clock()  # what an earlier process kept is checked with the first letters
        self._rows_kept = self._bytes_kept = 0

    def start_bundle(self) -> None:
        self._rows: list[DeadLetterRow] = []
        self._bytes = 0

    def process(self, letter: DeadLetter) -> Iterable[DeadLetter]:
        row = kept(letter, self._clock())
        self._rows.append(row)
        self._bytes += row.weight
        if len(self._rows) >= _AT_ONCE or self._bytes >= _BYTES_AT_ONCE:
            self._write()
        return (letter,)

    def finish_bundle(self) -> None:
        self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        self._store.write_dead_letters(self._rows)
        self._rows_kept += len(self._rows)
        self._bytes_kept += self._bytes
        self._rows, self._bytes = [], 0
        now = self._clock()
        if now >= self._prune_at or self._rows_kept >= _BETWEEN or self._bytes_kept >= _BYTES_BETWEEN:
            prune(self._store, now, self._kept_for)
            self._prune_at = now + min(self._kept_for, _TIME_BETWEEN)
            self._rows_kept = self._bytes_kept = 0
