"""Sums that are asked for again and again are those of the whole table, and no counter falls."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.metrics.counts import counts_of, summed
from transforms.metrics.running import RunningSums, StoredSums
from transforms.segments.values import DAY, MINUTE
from transforms.storage.rows import MetricRow
from transforms.storage.series import series_of
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

START = 1_770_000_000_000_000 // DAY * DAY
SENT = ("sends", (("state", "failed"),))
VALUE = ("value", (("campaign", "a"),))
QUEUED = ("queued", ())


def row(series: tuple[str, tuple[tuple[str, str], ...]], window: int, count: int) -> MetricRow:
    return MetricRow(series_of(*series), window, count)


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Timer:
    """Each sum takes half a second."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        self.passed += 0.5
        return self.passed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        yield store


counts = st.lists(
    st.tuples(st.sampled_from([SENT, VALUE]), st.integers(0, 6 * 24 * 60), st.integers(1, 9)), min_size=1, max_size=20
)


@given(counts, st.lists(st.integers(0, 3 * DAY), max_size=4))
def test_they_are_the_sums_of_the_whole_table(
    written: list[tuple[tuple[str, tuple[tuple[str, str], ...]], int, int]], waits: list[int]
) -> None:
    """Of the last quarter of an hour at once, and of all that is older after a while."""
    clock, timer = Clock(), Timer()
    with closing(SqliteStore(":memory:")) as store:
        sums = RunningSums(clock, timer)
        for wait in (*waits, 0):
            clock.now += wait
            for series, ago, count in written:
                store.add_metrics([row(series, clock.now - ago * MINUTE, count)])
            timer.passed += 1_000
            assert sums.read(store) == summed(counts_of(store))
            store.add_metrics([row(SENT, clock.now - 14 * MINUTE, 1)])
            assert sums.read(store) == summed(counts_of(store))
        assert sums.since == min(each.window for each in counts_of(store))


def test_a_counter_never_falls_and_a_gauge_does(store: SqliteStore) -> None:
    sums = RunningSums(Clock(), Timer())
    for series in (SENT, VALUE):
        store.add_metrics([row(series, START, 5)])
    assert sums.read(store) == {SENT: 5, VALUE: 5}
    for series in (SENT, VALUE):  # an outcome that takes the place of another one
        store.add_metrics([row(series, START, -2)])
    assert sums.read(store) == {SENT: 5, VALUE: 3}
    store.add_metrics([row(SENT, START + MINUTE, 1)])
    assert sums.read(store)[SENT] == 5
    store.add_metrics([row(SENT, START + MINUTE, 4)])
    assert sums.read(store)[SENT] == 8


def test_what_is_written_as_it_is_now_is_read_as_it_is_now(store: SqliteStore) -> None:
    clock = Clock()
    sums = RunningSums(clock)
    for count in (7, 3):
        store.write_metrics([row(QUEUED, 0, count)])
        assert sums.read(store) == {QUEUED: count}
        clock.now += 2 * DAY


def test_what_comes_late_is_there_after_a_while(store: SqliteStore) -> None:
    """After a hundred times as long as it took to read all that is so old."""
    timer = Timer()
    sums = RunningSums(Clock(), timer)
    assert sums.read(store) == {}
    store.add_metrics([row(SENT, START - 5 * DAY, 2), row(SENT, START - 60 * MINUTE, 3)])
    assert sums.read(store) == {}
    timer.passed += 40
    assert sums.read(store) == {}
    timer.passed += 20
    assert sums.read(store) == {SENT: 5}


def test_a_store_that_comes_later_is_opened_then(tmp_path: Path) -> None:
    with closing(StoredSums(f"sqlite:{tmp_path / 'later.db'}")) as stored:
        with pytest.raises(StoreError):
            stored.read()
        with closing(SqliteStore(tmp_path / "later.db")) as store:
            served = "collect_requests", (("status", "200"),)
            store.add_metrics([row(SENT, START, 1), row(served, START, 1)])
            assert stored.read() == {SENT: 1, served: 1}
            assert stored.of_job() == ({SENT: 1}, START), "services send their own"
