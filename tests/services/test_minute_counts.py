"""Counts of a service by minute in the store's metrics: each once, whatever is tried again, and whoever else counts."""

from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services import counts as module
from services.counts import MinuteWriter, ServiceCounts, keep_minutes
from transforms.metrics.counts import counts_of, histograms_of, summed
from transforms.segments.values import MINUTE
from transforms.storage.rows import MetricRow
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

START = 1_770_000_000_000_000 // MINUTE * MINUTE
HELPS = {"calls": "Calls"}
SHOP = ("collect_calls", (("source", "shop"),))


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


def counted(path: Path) -> dict[int, int]:
    """By minute."""
    found: dict[int, int] = {}
    with closing(SqliteStore(path)) as store:
        for each in counts_of(store, "collect_calls"):
            found[each.window] = found.get(each.window, 0) + each.count
        assert summed(counts_of(store)) == ({SHOP: sum(found.values())} if found else {})
    return found


class Flaky:
    """A store whose answers are lost: every second write raises, though it was done."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.writes = store, 0

    def write_metrics(self, rows: list[MetricRow]) -> None:
        self.store.write_metrics(rows)
        self.writes += 1
        if self.writes % 2:
            raise StoreError("the answer was lost")


def test_counts_of_several_processes_add_up_and_a_write_that_is_tried_again_doubles_nothing(tmp_path: Path) -> None:
    clock = Clock()
    services = [ServiceCounts("collect", HELPS, clock) for _ in range(2)]
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        flaky = Flaky(store)
        writers = [MinuteWriter(each, lambda: flaky) for each in services]
        for minute in range(3):
            clock.now = START + minute * MINUTE
            for number, each in enumerate(services):
                each.add("calls", 1 + number, source="shop")
                writers[number].write()
                each.add("calls", 10, source="shop")
                writers[number].write()
    assert counted(tmp_path / "store.db") == {START + minute * MINUTE: 23 for minute in range(3)}


def test_a_clock_that_goes_back_takes_nothing_from_a_minute_that_was_written(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "store.db"
    counts = ServiceCounts("collect", HELPS, clock)
    with closing(SqliteStore(path)) as store:
        writer = MinuteWriter(counts, lambda: store)
        counts.add("calls", 5, source="shop")
        clock.now = START + 2 * MINUTE
        counts.add("calls", 1, source="shop")
        writer.write()
        clock.now = START
        counts.add("calls", 3, source="shop")
        writer.write()
    assert counted(path) == {START: 5, START + 2 * MINUTE: 4}


def test_a_store_that_is_away_stops_nothing_and_what_waits_is_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    counts = ServiceCounts("collect", HELPS, clock)

    def away() -> SqliteStore:
        raise StoreError("the store is away")

    writer = MinuteWriter(counts, away)
    for minute in range(2 * module.MOST_MINUTES):
        clock.now = START + minute * MINUTE
        counts.add("calls", source="shop")
        if minute % 100 == 0:
            writer.write()
    assert len(counts.rows("a")) == module.MOST_MINUTES
    assert [record.getMessage() for record in caplog.records] == ["minute counts wait for the store: the store is away"]
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        back = MinuteWriter(counts, lambda: store)
        back.write()
    assert len(counted(tmp_path / "store.db")) == module.MOST_MINUTES
    assert len(counts.rows("a")) <= 2


def test_what_was_counted_last_is_written_at_the_end(tmp_path: Path) -> None:
    counts = ServiceCounts("collect", HELPS)
    with closing(SqliteStore(tmp_path / "store.db")) as store, keep_minutes(counts, lambda: store, every=3600):
        counts.add("calls", 7, source="shop")
    assert sum(counted(tmp_path / "store.db").values()) == 7


def test_times_are_a_histogram_here_and_in_the_store(tmp_path: Path) -> None:
    counts = ServiceCounts("collect", {"calls": "Calls", "latency": "Time"}, Clock())
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        writer = MinuteWriter(counts, lambda: store)
        for seconds in (0.001, 0.0015, 0.3, 100_000.0):
            counts.observe("latency", seconds)
            writer.write()
        [histogram] = histograms_of(summed(counts_of(store, "collect_latency")), "collect_latency").values()
    assert histogram.buckets == {"0.001": 1, "0.002": 1, "0.5": 1, "+Inf": 1}
    assert histogram.sum == 100_000_302_500
    [shown] = [each for each in text_string_to_metric_families("\n".join(counts.lines())) if each.type == "histogram"]
    samples = {(each.name, each.labels.get("le")): each.value for each in shown.samples}
    assert samples["todoke_collect_latency_seconds_bucket", "0.002"] == 2
    assert samples["todoke_collect_latency_seconds_count", None] == 4
    assert samples["todoke_collect_latency_seconds_sum", None] == 100_000.3025
