"""What every store promises of metrics."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import NOW
from strength import examples

from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.storage.store import Store


def test_metrics_come_by_series_and_window(store: Store) -> None:
    names = ["a", "a b", "a!", "a#", "a#b", "a\0", "a\0b", "aa", "b", "flow/届け", "flow/vip", "", "A"]
    rows = [MetricRow(name, window, 1) for name in names for window in (-NOW, -1, 0, 1, NOW)]
    store.write_metrics([*rows[::-1], *(MetricRow(row.series, row.window, 2) for row in rows[:10])])
    written = [*(MetricRow(row.series, row.window, 2) for row in rows[:10]), *rows[10:]]
    expected = sorted(written, key=lambda row: (row.series, row.window))
    for prefix in ("", "a", "a ", "a#", "a\0", "flow/", "flow/届", "c"):
        assert list(store.scan_metrics(prefix)) == [row for row in expected if row.series.startswith(prefix)]
        assert list(store.scan_metrics(prefix, 0)) == [
            row for row in expected if row.series.startswith(prefix) and row.window >= 0
        ]


MOST = 2**63 - 1


added = st.lists(
    st.tuples(
        st.sampled_from(["read{}", 'sends{reason="\\""}', "a\0b/届"]), st.sampled_from([0, NOW]), st.integers(-9, 9)
    )
)


@settings(max_examples=examples(30), suppress_health_check=list(HealthCheck))
@given(st.lists(added, max_size=4))
def test_counts_add_up_however_they_are_added(store: Store, writes: list[list[tuple[str, int, int]]]) -> None:
    before = {(row.series, row.window): row.count for row in store.scan_metrics("")}
    expected = Counter(before)
    for rows in writes:
        store.add_metrics([MetricRow(*row) for row in rows])
        for *key, count in rows:
            expected[tuple(key)] += count
    found = {(row.series, row.window): row.count for row in store.scan_metrics("")}
    assert found == {key: expected[key] for key in found}
    assert all(found.get(key, 0) == count for key, count in expected.items())


def test_a_count_is_at_most_what_64_bits_hold(store: Store) -> None:
    store.write_metrics([MetricRow("a", 0, MOST - 1), MetricRow("b", 0, 1 - MOST)])
    for count in (0, 1, 1, MOST, -3):
        store.add_metrics([MetricRow("a", 0, count), MetricRow("b", 0, -count)])
    assert [row.count for row in store.scan_metrics("")] == [MOST - 3, -MOST + 2]


def test_steps_of_a_job_add_by_connections_of_their_own(store: Store, url: str) -> None:
    steps, row = [open_store(url) for _ in range(4)], MetricRow("accounts{}", NOW, 1)
    with ThreadPoolExecutor(len(steps)) as threads:
        for _ in range(25):
            for step in steps:
                threads.submit(step.add_metrics, [row])
    assert [each.count for each in store.scan_metrics("")] == [25 * len(steps)]
    for step in steps:
        step.close()
