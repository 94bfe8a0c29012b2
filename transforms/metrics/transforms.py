"""Sums of tallies: one file at the end of a bounded run, rows of the metrics table by window in a live job."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.typehints import with_output_types
from apache_beam.utils.timestamp import Timestamp

from transforms.events.live.feed import now
from transforms.storage.rows import MetricRow
from transforms.storage.transforms import StoreDoFn
from transforms.users.inputs.transforms import globally
from transforms.users.tally import Tally, TallyKey, saturated, series_for

__all__ = ["WINDOW_SECONDS", "SumBundles", "WriteMetrics", "WriteSummary", "counted_at"]

#: Windows of live metrics, and for how long after its end a window is kept for what comes late, in seconds.
WINDOW_SECONDS = 60
LATE_SECONDS = 24 * 3600
#: So many tallies of one series (one a bundle) are not kept back until their window is over.
EARLY_COUNT = 20


class SumBundles(beam.PTransform):
    """Sum the tallies of each bundle, so that few go on to where those of all steps come together."""

    def expand(self, tallies: beam.PCollection[Tally]) -> beam.PCollection[Tally]:
        """Sum."""
        return tallies | "Sum" >> beam.ParDo(_SumBundle())


@with_output_types(Tally)
class _SumBundle(beam.DoFn):
    def start_bundle(self) -> None:
        self._sums: Counter[TallyKey] = Counter()

    def process(self, tally: Tally) -> None:
        key, count = tally
        self._sums[key] += count

    def finish_bundle(self) -> Iterator[Any]:
        sums = ((key, saturated(count)) for key, count in self._sums.items())
        yield from globally(sums, GlobalWindow().start)


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
            | "Sum" >> beam.CombinePerKey(_sum)
            | "Together" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write_summary, self.path, self.as_of)
        )


def _sum(counts: Iterable[int]) -> int:
    """Beam's own sum goes around at 64 bits: one value beyond all measure would make it anything."""
    return saturated(sum(counts))


def _write_summary(tallies: list[Tally], path: str, as_of: int) -> None:
    with FileSystems.create(path, mime_type="application/json") as file:
        file.write(msgspec.json.encode({"as_of": as_of, "tallies": sorted(tallies)}))


def counted_at(time: int, now: int) -> int:
    """When a tally counts: at its own time, but in the minute in which it comes where Beam would drop it as too late.

    Args:
      time, now: of the tally and of the wall clock, in microseconds UTC.
    """
    return now if time <= now - LATE_SECONDS * 1_000_000 else time


class WriteMetrics(beam.PTransform):
    """Sum tallies in fixed windows into the metrics table.

    A window's row is written early with each `EARLY_COUNT` tallies, when the window is over, and again with each tally
    that comes after that: tallies of a timer have the time for which it was set, and a watermark may have gone far
    beyond it. Each time it is written whole (panes accumulate). So repeating a write is safe, and the last one is
    right. Sizes of segments are sums of these rows (see `flow`) and right as soon as the rows are.

    Args:
      store: URL of the store.
      clock: the wall clock, in microseconds.
    """

    def __init__(self, store: str, clock: Callable[[], int] = now) -> None:
        self.store = store
        self.clock = clock

    def expand(self, tallies: beam.PCollection[Tally]) -> Any:
        """Window, sum and write."""
        windows = beam.WindowInto(
            FixedWindows(WINDOW_SECONDS),
            trigger=AfterWatermark(early=AfterCount(EARLY_COUNT), late=AfterCount(1)),
            accumulation_mode=AccumulationMode.ACCUMULATING,
            allowed_lateness=LATE_SECONDS,
        )
        return (
            tallies
            | "Series" >> beam.ParDo(_Series(self.clock))
            | "Window" >> windows
            | "Sum" >> beam.CombinePerKey(sum)
            | "Write" >> beam.ParDo(_WriteMetrics(self.store))
        )


#: What a running job has sums of: a series of before, as its name and two labels, or one of now, whole in the first.
_Named = tuple[str, str, str]


@with_output_types(tuple[_Named, int])
class _Series(beam.DoFn):
    """By series, without the window. What a live job read is the sum of how it ended, and no series of its own."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock

    def process(self, tally: Tally, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        (metric, values, _), count = tally
        if metric != "read":
            at = Timestamp(micros=counted_at(timestamp.micros, self.clock()))
            yield TimestampedValue(((series_for(metric, values), "", ""), saturated(count)), at)


class _WriteMetrics(StoreDoFn):
    def start_bundle(self) -> None:
        self._rows: list[MetricRow] = []

    def process(self, element: tuple[_Named, int], window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        named, count = element
        if count:  # else the pane is empty: Flink fires a closed window again, whose row must stay
            series = named[0] if named[0].endswith("}") else "/".join(named)
            self._rows.append(MetricRow(series, window.start.micros, saturated(count)))
        return iter(())

    def finish_bundle(self) -> None:
        self._store.write_metrics(self._rows)
