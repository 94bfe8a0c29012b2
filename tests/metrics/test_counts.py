"""Metrics with labels: their text, what they add up to however they were split, and how they are shown."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from core import DAY, HOUR, MINUTE, START, compile_plain, decode_all, run_bounded
from generators import histories
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from shop import SHOP
from strength import examples

from transforms.events.event import Event
from transforms.metrics.counts import Histogram, WindowCount, counts_of, histograms_of, summed
from transforms.metrics.flow import Flow, flow_of, flows, segments_counted
from transforms.metrics.prometheus import exposition
from transforms.slos.bounds import BOUNDS
from transforms.storage.open import open_store
from transforms.storage.rows import MemberRow, MetricRow, UserRow
from transforms.storage.series import LABEL_LENGTH, label_value, read_series, series_of
from transforms.storage.store import Store
from transforms.users.effects import Account, Effect, Recorded
from transforms.users.measures import METRICS, bound_of, seconds_text
from transforms.users.tally import Tallies, series_for

NOW = START + 26 * HOUR + 7
CAMPAIGNS = compile_plain(SHOP)

names = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['a"} 1\nb{c="', "\\", "a/b", "}"]
)
labels = st.dictionaries(names, texts, max_size=4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    yield store
    store.close()


@given(names, labels)
@example("sends", {"reason": 'a"} 1\n', "channel": "\\n"})
def test_a_series_is_read_as_it_was_written_whatever_is_in_it(name: str, said: dict[str, str]) -> None:
    series = series_of(name, said.items())
    assert series == series_of(name, sorted(said.items(), reverse=True))
    assert "\n" not in series
    assert read_series(series) == (name, tuple(sorted((label, value) for label, value in said.items() if value)))


@given(st.lists(st.tuples(names, labels), max_size=6))
def test_different_labels_are_different_series(said: list[tuple[str, dict[str, str]]]) -> None:
    kept = {(name, tuple(sorted(item for item in each.items() if item[1]))) for name, each in said}
    assert len({series_of(name, each.items()) for name, each in said}) == len(kept)


def test_a_long_label_is_cut_and_still_told_apart() -> None:
    long, longer = "届" * 5_000, "届" * 5_001
    assert len(label_value(long)) == LABEL_LENGTH
    assert label_value(long) != label_value(longer)
    assert label_value("x" * LABEL_LENGTH) == "x" * LABEL_LENGTH


@pytest.mark.parametrize("text", ["", "read", "read//", "sends/push/handed_off", "a{", 'a{b="c}', 'a{b="c"}d', "A{}"])
def test_what_is_no_series_is_none(text: str) -> None:
    assert read_series(text) is None


def test_metrics_have_their_labels_in_order_and_names_that_prometheus_takes() -> None:
    for name, metric in METRICS.items():
        assert list(metric.labels) == sorted(set(metric.labels)), name
        assert name.replace("_", "a").isalpha()
        assert not name.endswith("_sum")
        assert "le" not in metric.labels


def test_what_comes_from_outside_makes_no_series() -> None:
    """Events that the definitions do not name are one series, and so are causes that are no words of ours."""
    tallies = Tallies(MINUTE)
    for number in range(1_000):
        event = Event(f"m{number}", "track", f"Bought {number}", START, START, user="u")
        tallies.live([Recorded("u", event)], {"Bought 7"}, {}, NOW)
        tallies.effects([Account("dead_letter", event.id, f'cause "{number}"\n')])
    assert sorted((row.series, row.count) for row in tallies.rows(NOW)) == [
        ('accounts{cause="other",outcome="dead_letter"}', 1_000),
        ('events{event="Bought 7",type="track"}', 1),
        ('events{event="other",type="track"}', 999),
    ]


@settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_sums_are_equal_however_effects_are_split_and_joined(data: st.DataObject) -> None:
    events = decode_all(data.draw(histories()))
    _, effects = run_bounded(events, CAMPAIGNS, max(event.arrival for event in events) + 60 * DAY)
    whole = counted([effects])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(effects)), max_size=5)))
    parts = [effects[start:end] for start, end in zip([0, *cuts], [*cuts, len(effects)], strict=True)]
    parts = data.draw(st.permutations(parts))
    assert counted(parts) == whole
    joined = Tallies(MINUTE)
    for part in parts:
        mine = Tallies(MINUTE)
        tally(mine, part)
        joined.join(mine)
    assert Counter({(row.series, row.window): row.count for row in joined.rows(NOW)}) == whole


def tally(tallies: Tallies, effects: list[Effect]) -> None:
    tallies.effects(effects)
    tallies.live(effects, CAMPAIGNS.events, CAMPAIGNS.campaigns, NOW)


def counted(parts: list[list[Effect]]) -> Counter[tuple[str, int]]:
    """Rows of bundles as a store adds them up."""
    sums: Counter[tuple[str, int]] = Counter()
    for part in parts:
        tallies = Tallies(MINUTE)
        tally(tallies, part)
        for row in tallies.rows(NOW):
            sums[row.series, row.window] += row.count
    return sums


@given(st.lists(st.integers(-5, 100_000_000_000), max_size=20))
@example(list(BOUNDS))
@example([bound + 1 for bound in BOUNDS])
def test_a_histogram_knows_how_many_do_not_exceed_each_bound(times: list[int]) -> None:
    tallies = Tallies(MINUTE)
    for time in times:
        tallies.observe("behind", micros=time, at=NOW)
    sums = summed(WindowCount(*_read(row)) for row in tallies.rows(NOW))
    histogram = histograms_of(sums, "behind").get((), Histogram({}))
    assert histogram.count == len(times)
    assert histogram.sum == sum(max(0, time) for time in times)
    for bound in BOUNDS:
        assert histogram.at_most(seconds_text(bound)) == sum(time <= bound for time in times)
    reached = [count for _, count in histogram.cumulative()]
    assert reached == sorted(reached)
    assert reached[-1] == len(times)
    if times:
        middle = sorted(max(0, time) for time in times)[(len(times) - 1) // 2]
        assert histogram.quantile(0.5) == bound_of(middle)


def _read(row: MetricRow) -> tuple[str, dict[str, str], int, int]:
    found = read_series(row.series)
    assert found is not None
    return found[0], dict(found[1]), row.window, row.count


def test_bounds_are_those_that_service_levels_may_name() -> None:
    assert " ".join(map(seconds_text, BOUNDS)) == (
        "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 15 30 60 "
        "120 300 600 900 1800 3600 7200 21600 43200 86400"
    )
    with pytest.raises(ValueError, match="60, 120"):
        Histogram({}).at_most("61")


OLD = {
    "read//": None,
    "control/read/": None,
    "accounts/dead_letter/invalid_json": 'accounts{cause="invalid_json",outcome="dead_letter"}',
    "control/duplicate/not_awaited": 'control{cause="not_awaited",outcome="duplicate"}',
    "events/a/b/": 'events{event="a/b"}',
    "entered/vip/event": 'entered{segment="vip",via="event"}',
    "left/vip/time": 'left{segment="vip",via="time"}',
    "entries/hello/": 'entries{campaign="hello"}',
    "conversions/hello/ordered/a": 'conversions{arm="a",campaign="hello",goal="ordered"}',
    "value/hello/ordered/": 'value{campaign="hello",goal="ordered"}',
    "decided/hello/push": 'decided{campaign="hello",channel="push"}',
    "sends/push/handed_off": 'sends{channel="push",state="handed_off"}',
    "suppressed/capped/hello": 'suppressed{campaign="hello",reason="capped"}',
    "repeated/push/hello": 'repeated{campaign="hello",channel="push"}',
    "merged//": "merged{}",
    "truncated/messages/": 'truncated{kind="messages"}',
    "rebuilt/whole/": 'rebuilt{how="whole"}',
    "internal/track/": 'internal{kind="track"}',
    "unknown/of/old": None,
}


def test_rows_of_an_older_version_are_read_as_what_they_are_called_now(store: Store) -> None:
    store.write_metrics([MetricRow(series, START, place) for place, series in enumerate(OLD)])
    found = {series_of(count.name, count.labels.items()): count.count for count in counts_of(store)}
    assert found == {series: place for place, series in enumerate(OLD.values()) if series is not None}
    for name in METRICS:
        assert {count.name for count in counts_of(store, name)} <= {name}
    store.add_metrics([MetricRow('sends{channel="push",state="handed_off"}', START, 100)])
    (count,) = summed(counts_of(store, "sends")).values()
    assert count == 100 + list(OLD).index("sends/push/handed_off")
    assert list(counts_of(store, "sends", START + 1)) == []


values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


@settings(max_examples=examples(100))
@given(
    st.lists(st.tuples(values, values, st.integers(0, 2**62)), max_size=5),
    st.lists(st.tuples(values, st.integers(0, 10**11)), max_size=5),
    st.integers(-(2**62), 2**62),
)
def test_prometheus_reads_what_was_counted(
    suppressed: list[tuple[str, str, int]], latencies: list[tuple[str, int]], worth: int
) -> None:
    """By the parser of Prometheus' own client."""
    tallies = Tallies(MINUTE)
    for campaign, step, count in suppressed:
        tallies.count("suppressed", campaign, "push", "capped", step, by=count)
    for campaign, micros in latencies:
        tallies.observe("latency", campaign, "push", "arrival", "handed_off", micros=micros)
    tallies.count("value", "a", "hello", "ordered", by=worth)
    sums = summed(WindowCount(*_read(row)) for row in tallies.rows(NOW))
    text = "".join(f"{line}\n" for line in exposition(sums))
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found.keys() <= {"todoke_suppressed", "todoke_latency_seconds", "todoke_value"}
    expected: Counter[tuple[tuple[str, str], ...]] = Counter()
    for campaign, step, count in suppressed:
        said = {"campaign": campaign, "channel": "push", "reason": "capped", "step": step}
        expected[tuple(sorted(item for item in said.items() if item[1]))] += count
    samples = found["todoke_suppressed"].samples if "todoke_suppressed" in found else []
    assert {tuple(sorted(each.labels.items())): each.value for each in samples} == {
        key: min(count, 2**63 - 1) for key, count in expected.items() if count
    }
    if latencies:
        family = found["todoke_latency_seconds"]
        assert family.type == "histogram"
        by_campaign = Counter(campaign for campaign, _ in latencies)
        counts = [each for each in family.samples if each.name.endswith("_count")]
        assert {each.labels.get("campaign", ""): each.value for each in counts} == by_campaign
        ends = [each for each in family.samples if each.labels.get("le") == "+Inf"]
        assert {each.labels.get("campaign", ""): each.value for each in ends} == by_campaign


def test_every_metric_is_shown_in_prometheus_with_its_kind() -> None:
    tallies = Tallies(MINUTE)
    for name, metric in METRICS.items():
        if metric.kind == "histogram":
            tallies.observe(name, *metric.labels, micros=1_500)
        else:
            tallies.count(name, *metric.labels, by=3)
    lines = list(exposition(summed(WindowCount(*_read(row)) for row in tallies.rows(NOW))))
    assert 'todoke_behind_seconds_bucket{le="0.002"} 1' in lines
    assert "todoke_behind_seconds_sum 0.0015" in lines
    assert 'todoke_value{arm="arm",campaign="campaign",goal="goal"} 0.000003' in lines
    assert 'todoke_sends_total{campaign="campaign",channel="channel",reason="reason",state="state",' in "\n".join(lines)
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    assert len(kinds) == len(METRICS)
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}


def count(name: str, window: int, number: int = 1) -> WindowCount:
    return WindowCount(name, {"segment": "vip", "via": "event"}, window, number)


def test_sizes_are_counted_back_from_who_is_a_member() -> None:
    """What was never counted makes an old size wrong, and never the last one."""
    counts = [count("left", 2), count("entered", 1, 5), count("entered", 3), count("left", 3, 2)]
    assert flows("vip", counts, 608) == [Flow(1, 5, 0, 610), Flow(2, 0, 1, 609), Flow(3, 1, 2, 608)]
    assert flows("other", counts, 0) == []


def test_flow_is_of_members_with_a_user_id_and_knows_old_names(store: Store) -> None:
    store.write_metrics([MetricRow("entered/vip/event", 0, 1), MetricRow("entered/vip2/event", 0, 7)])
    store.add_metrics([MetricRow(series_for("entered", ("vip", "merge")), MINUTE, 2)])
    for name in ("u1", "u2", "u3", "u4", "~a"):
        store.write_members([MemberRow("vip", name, START, 1)])
        said = b'{"user": "u", "segments": {"vip": "2026-03-01T00:00:00Z"}}' if name != "u4" else b"{}"
        store.write_users([UserRow(name, 1, b"", said)])
    assert flow_of(store, "vip") == [Flow(0, 1, 0, 1), Flow(MINUTE, 2, 0, 3)]


#: Values that are one to whoever reads a terminal, or end something.
LOOKALIKES = st.sampled_from(
    ["a\x00", "a\x1b", "a\u202e", "a\u2028", "a\r", "a\n", "a\x85", "other", "", 'a"', "a\\", "é", "+Inf"]
)
any_series = st.builds(
    lambda name, said: series_of(name, said.items()),
    st.sampled_from(sorted({*METRICS, "latency_sum", "behind_sum"})),
    st.dictionaries(st.sampled_from(["event", "type", "campaign", "le"]), LOOKALIKES | texts, max_size=3),
)


@given(st.lists(st.tuples(any_series, st.integers(-(2**63), 2**63 - 1)), max_size=30))
@example([(series_of("events", [("event", f"a{end}")]), 1) for end in "\x00\x01"])
@example([(series_of("events", [("event", "other")]), 1), ("events/other", 2)])
@example([('events{event=""}', 1), ("events{}", 2)])
@example([('latency{le="7"}', 1), ("latency{}", 2), ('latency{le="5"}', 3)])
def test_whatever_a_store_holds_prometheus_gets_no_series_twice(rows: list[tuple[str, int]]) -> None:
    class Held:
        def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
            return (MetricRow(series, 0, count) for series, count in rows)

    lines = list(exposition(summed(counts_of(Held()))))
    families = list(text_string_to_metric_families("\n".join([*lines, ""])))
    samples = [(each.name, *sorted(each.labels.items())) for family in families for each in family.samples]
    assert len(samples) == len(set(samples)) == sum(not line.startswith("#") for line in lines)
    assert [family.name for family in families if family.type == "unknown"] == []


def test_names_of_segments_are_looked_up_within_a_bound() -> None:
    read: list[str] = []

    class Minutes:
        """A store in which a job has counted for ten years."""

        def scan_metrics(self, prefix: str, since: int | None = None) -> Iterator[MetricRow]:
            for minute in range(5_000_000):
                read.append(prefix)
                series = f"{prefix}vip/event" if prefix.endswith("/") else series_for(prefix[:-1], ("vip", "event"))
                yield MetricRow(series, minute * MINUTE, 1)

    assert segments_counted(Minutes()) == {"vip"}
    assert len(read) < 50_000
