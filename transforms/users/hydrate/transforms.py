"""Hydration: a stateless step in front of the state machine reads the rows of users whom nobody has met yet."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types
from apache_beam.utils.shared import Shared
from apache_beam.utils.windowed_value import WindowedValue

from transforms.job import Job
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.hydrate.hints import AskedKeys, Hinted, encode_hinted, read_hints
from transforms.users.inputs.transforms import Keyed

__all__ = ["Hydrate"]

#: A bundle is put out when it holds so many keys, or so many parts of inputs, and at its end.
_KEYS_AT_ONCE, _PARTS_AT_ONCE = 500, 10_000


class Hydrate(beam.PTransform):
    """Add to the inputs of users what the store says of them, see `Hinted`; several of one user become one element.

    A user whose row this process has read lately is not asked for again: somebody holds the state. Elements keep their
    timestamps, and those that become one the earliest, so that no timer overtakes an input.

    Args:
      store: the store's URL; None for no store.
      job: whose step it is.

    Raises:
      StoreError: when it runs, if rows could not be read.
    """

    def __init__(self, store: str | None, job: Job | None = None) -> None:
        super().__init__()
        self.store = store
        self.job = job or Job()

    def expand(self, keyed: beam.PCollection[Keyed]) -> beam.PCollection[Keyed]:
        """Wire the step."""
        return keyed | "Read" >> beam.ParDo(_Hydrate(self.store, self.job))


@with_output_types(Keyed)
class _Hydrate(beam.DoFn):
    def __init__(self, store: str | None, job: Job) -> None:
        self.store = store
        self.job = job
        self._step = uuid4().hex
        self._shared = Shared()

    def setup(self) -> None:
        url = self.store
        # Not the step's own: what a runner makes anew for each bundle would forget.
        self._asked = self.job.part(AskedKeys, self._step)
        self._store: Store | None = None if url is None else self._shared.acquire(lambda: open_store(url), tag=url)

    def start_bundle(self) -> None:
        self._waiting: dict[str, tuple[list[bytes], Any]] = {}
        self._held = 0

    def process(self, element: Keyed, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        key, data = element
        parts, earliest = self._waiting.get(key, ([], timestamp))
        parts.append(data)
        self._waiting[key] = parts, min(earliest, timestamp)
        self._held += 1
        if len(self._waiting) >= _KEYS_AT_ONCE or self._held >= _PARTS_AT_ONCE:
            yield from self._turn()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield from self._turn()

    def _turn(self) -> Iterator[Any]:
        waiting, self._waiting, self._held = self._waiting, {}, 0
        hints = read_hints(self._store, self._asked, waiting)
        for key, (parts, earliest) in waiting.items():
            hinted = encode_hinted(Hinted(tuple(parts), hints.get(key)))
            yield WindowedValue((key, hinted), earliest, (GlobalWindow(),))
