"""Counts of a live job on one machine: summed in its process, in the minutes that windows would put them in."""

import threading
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import HOUR, MINUTE, START
from hypothesis import given
from hypothesis import strategies as st

from transforms.metrics.live import transforms as live
from transforms.metrics.live.transforms import SumHere, Sums
from transforms.metrics.transforms import LATE_SECONDS
from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow

FIRST = START - START % MINUTE
NOW = FIRST + 26 * HOUR + 7


def clock() -> int:
    return NOW


def test_tallies_count_in_their_minute_or_now_if_they_are_later_than_a_window_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = Sums()
    monkeypatch.setattr(live, "sums", sums)
    late = NOW - LATE_SECONDS * 1_000_000
    told = [
        ((("sends", "push", "a", 0), 1), NOW - 1),
        ((("sends", "push", "a", 5), 2), NOW - NOW % MINUTE),
        ((("sends", "push", "a", 0), 4), NOW - NOW % MINUTE - 1),
        ((("sends", "push", "b", 0), 8), late),
        ((("sends", "push", "b", 0), 16), late + 1),
    ]
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions([])) as pipeline:
        _ = (
            pipeline
            | beam.Create(told)
            | beam.Map(lambda each: TimestampedValue(each[0], Timestamp(micros=each[1])))
            | SumHere(clock)
        )
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    sums.write(store)
    this = NOW - NOW % MINUTE
    assert list(store.scan_metrics("")) == [
        MetricRow("sends/push/a", this - MINUTE, 4),
        MetricRow("sends/push/a", this, 3),
        MetricRow("sends/push/b", late + 1 - (late + 1) % MINUTE, 16),
        MetricRow("sends/push/b", this, 8),
    ]
    store.close()


counted = st.dictionaries(
    st.tuples(st.sampled_from(["read//", "sends/push/届", "a\0b//"]), st.sampled_from([FIRST, FIRST + MINUTE])),
    st.integers(-3, 5),
)


@given(runs=st.lists(st.lists(counted, max_size=4), max_size=4))
def test_runs_go_on_counting_where_the_one_before_was_killed(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[dict[tuple[str, int], int]]]
) -> None:
    store = open_store(f"sqlite:{tmp_path_factory.mktemp('sums') / 'store.db'}")
    expected: dict[tuple[str, int], int] = {}
    for writes in runs:
        sums = Sums()
        for counts in writes:
            for key, count in counts.items():
                sums.add(Counter({key: count}))
                expected[key] = expected.get(key, 0) + count
            sums.write(store)
    assert {(row.series, row.window): row.count for row in store.scan_metrics("")} == expected
    store.close()


def test_counts_are_written_while_nothing_more_comes_and_the_rest_when_asked(tmp_path: Path) -> None:
    store, sums, stop = open_store(f"sqlite:{tmp_path / 'store.db'}"), Sums(), threading.Event()
    written = threading.Event()

    class Watched:
        read_metrics = store.read_metrics

        def write_metrics(self, rows: list[MetricRow]) -> None:
            store.write_metrics(rows)
            if rows:
                written.set()

    keeper = threading.Thread(target=sums.keep, args=(Watched(), stop.is_set))
    keeper.start()
    sums.add(Counter({("read//", FIRST): 1}))
    assert written.wait(60)
    stop.set()
    keeper.join(60)
    sums.add(Counter({("read//", FIRST): 2}))
    sums.write(store)
    assert list(store.scan_metrics("")) == [MetricRow("read//", FIRST, 3)]
    store.close()


def test_what_bundles_add_at_once_is_all_there(tmp_path: Path) -> None:
    store, sums = open_store(f"sqlite:{tmp_path / 'store.db'}"), Sums()

    def bundles() -> None:
        for number in range(300):
            sums.add(Counter({("read//", FIRST): 1, (f"events/{number % 3}/", FIRST): 1}))
            if number % 50 == 0:
                with lock:
                    sums.write(store)

    lock = threading.Lock()  # one writes at a time
    threads = [threading.Thread(target=bundles) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sums.write(store)
    assert {row.series: row.count for row in store.scan_metrics("")} == {
        "read//": 1800,
        **{f"events/{number}/": 600 for number in range(3)},
    }
    store.close()
