"""Sums of tallies: one file at the end of a bounded run, rows of the metrics table by window in a live job."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import FixedWindows
from apache_beam.utils.shared import Shared

from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.users.tally import Tally, TallyKey

__all__ = ["WriteMetrics", "WriteSummary"]

#: Windows of live metrics, in seconds.
WINDOW_SECONDS = 60


class WriteSummary(beam.PTransform):
    """Sum the tallies of a bounded run into one JSON file: `as_of` and `tallies`.

    Args:
      path: where to write; any file system that Beam knows.
      as_of: a singleton side input, microseconds UTC.
    """

    def __init__(self, path: str, as_of: beam.pvalue.AsSingleton) -> None:
        self.path = path
        self.as_of = as_of

    def expand(self, tallies: beam.PCollection[Tally]) -> Any:
        """Sum and write."""
        return (
            tallies
            | "Sum" >> beam.CombinePerKey(sum)
            | "Together" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write_summary, self.path, self.as_of)
        )


def _write_summary(tallies: list[Tally], path: str, as_of: int) -> None:
    with FileSystems.create(path, mime_type="application/json") as file:
        file.write(msgspec.json.encode({"as_of": as_of, "tallies": sorted(tallies)}))


class WriteMetrics(beam.PTransform):
    """Sum tallies in fixed windows into the metrics table; a window's row is written whole, so repeating it is safe."""

    def __init__(self, store: str) -> None:
        self.store = store

    def expand(self, tallies: beam.PCollection[Tally]) -> Any:
        """Window, sum and write."""
        return (
            tallies
            | "Series" >> beam.MapTuple(_without_day)
            | "Window" >> beam.WindowInto(FixedWindows(WINDOW_SECONDS))
            | "Sum" >> beam.CombinePerKey(sum)
            | "Write" >> beam.ParDo(_WriteMetrics(self.store))
        )


def _without_day(key: TallyKey, count: int) -> tuple[tuple[str, str, str], int]:
    return key[:3], count


class _WriteMetrics(beam.DoFn):
    def __init__(self, store: str) -> None:
        self.store = store
        self._shared = Shared()

    def setup(self) -> None:
        self._store = self._shared.acquire(lambda: open_store(self.store), tag=self.store)

    def start_bundle(self) -> None:
        self._rows: list[MetricRow] = []

    def process(self, element: tuple[tuple[str, str, str], int], window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        labels, count = element
        self._rows.append(MetricRow("/".join(labels), window.start.micros, count))
        return iter(())

    def finish_bundle(self) -> None:
        self._store.write_metrics(self._rows)
