"""Tallies of any bundles, summed in any order, and the report made of them."""

import json
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue
from core import DAY, HOUR, START, compile_plain, decode_all, run_bounded
from generators import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed
from transforms.events.times import write_time
from transforms.metrics.report import Summary, accounts_add_up, report_json
from transforms.metrics.transforms import SumBundles, WriteMetrics, WriteSummary
from transforms.storage.open import open_store
from transforms.users.effects import OUTCOMES, Account
from transforms.users.tally import Tallies, Tally

CAMPAIGNS = compile_plain(SHOP)
GOALS = compile_plain(
    {
        "segments": {"b": {"members": {"event": "B"}}, "a": {"members": {"event": "A"}}},
        "campaigns": {
            "c": {
                "trigger": {"enters": "a"},
                "variants": {"x": 50, "y": 50},
                "steps": [{"send": "m"}],
                "consent": "news",
                "goals": {"bought": {"event": "B", "within": "1d", "value": "n"}},
            },
            "d": {
                "trigger": {"enters": "b"},
                "steps": [{"id": "d", "send": "m"}],
                "consent": "news",
                "goals": {"seen": {"event": "A", "within": "1d"}},
            },
        },
        "messages": {"m": {"channel": "push", "title": "x"}},
    }
)
TODAY = START - START % DAY


@settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_report_counts_what_happened_however_it_was_bundled(data: st.DataObject) -> None:
    events = decode_all(data.draw(histories()))
    as_of = max(event.arrival for event in events) + 60 * DAY
    users, effects = run_bounded(events, CAMPAIGNS, as_of)
    tallies: list[Tally] = [(("read", (), 0), len(events))]
    bundle = Tallies()
    for effect in effects:
        bundle.effects([effect])
        if data.draw(st.integers(0, 9)) == 0:
            tallies += bundle.drain()
    for user in users.values():
        bundle.final(user)
    tallies += bundle.drain()
    report = report_json(Summary.of(as_of, data.draw(st.permutations(tallies))), CAMPAIGNS, 1.23456)
    assert accounts_add_up(report)
    assert report["entries"] == sum(isinstance(effect, CampaignEntered) for effect in effects)
    assert sum(report["suppressed"].values()) == sum(isinstance(effect, Suppressed) for effect in effects)
    named = [user for key, user in users.items() if not key.startswith("~") and user.created is not None]
    assert report["users"] == len(named)
    assert report["segments"] == {name: sum(name in user.members for user in named) for name in CAMPAIGNS.segments}
    assert (report["as_of"], report["elapsed_s"]) == (write_time(as_of), 1.235)


def test_a_report_has_every_field_and_every_segment_also_of_nothing() -> None:
    report = report_json(Summary.of(START, []), GOALS, 0)
    assert list(report["segments"].items()) == [("a", 0), ("b", 0)]
    assert report["goals"] == []
    assert {"read", "applied", "duplicates", "deleted", "dead_letters", "later", "users", "entries"} <= report.keys()
    assert {"sends", "suppressed", "segments", "waiting", "as_of", "elapsed_s"} <= report.keys()
    assert accounts_add_up(report)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_accounts_that_do_not_add_up_are_noticed(outcome: str) -> None:
    tallies = Tallies()
    tallies.count("read")
    tallies.effects([Account(outcome, "m")])
    exact = list(tallies.drain())
    assert accounts_add_up(report_json(Summary.of(START, exact), GOALS, 0))
    assert not accounts_add_up(report_json(Summary.of(START, [*exact, exact[-1]]), GOALS, 0))


def test_goals_are_reported_by_arm_also_where_nobody_reached_them() -> None:
    tallies = Tallies()
    arms = [("x", False), ("x", False), ("y", False), ("x", True)]
    tallies.effects(
        CampaignEntered("c", f"u{n}", f"e{n}", START, variant, held_out) for n, (variant, held_out) in enumerate(arms)
    )
    tallies.effects([CampaignEntered("d", "u9", "e9", START)])
    said = {"campaign": "c", "goal": "bought", "user": "u", "entry": "e", "at": START}
    tallies.effects(
        [
            Converted(**said, first=True, value=2.5, variant="x"),
            Converted(**said, first=False, value=0.1, variant="x"),
            Converted(**said, first=True, value=1, variant="x", held_out=True),
        ]
    )
    report = report_json(Summary.of(START, tallies.drain()), GOALS, 0)
    assert [tuple(each.values()) for each in report["goals"]] == [
        ("c", "bought", "holdout", 1, 1, 1.0),
        ("c", "bought", "x", 2, 1, 2.6),
        ("c", "bought", "y", 1, 0, 0.0),
        ("d", "seen", "treated", 1, 0, 0.0),
    ]
    assert report["entries"] == 5


def test_a_series_is_summed_by_labels_and_by_day() -> None:
    tallies = Tallies()
    tallies.effects([CampaignEntered("c", "u", "e", START), CampaignEntered("c", "v", "f", START + 25 * HOUR)])
    tallies.effects([CampaignEntered("d", "u", "g", TODAY), Suppressed("c", "u", "too_old", START)])
    summary = Summary.of(START, tallies.drain())
    assert summary.by_day("entries", "campaign") == {"c": {TODAY: 1, TODAY + DAY: 1}, "d": {TODAY: 1}}
    assert summary.by_label("entries", "campaign") == {"c": 2, "d": 1}
    assert summary.by_labels("suppressed", "reason", "campaign") == {"too_old": {"c": 1}}
    assert (summary.total("entries"), summary.total("entries", campaign="d")) == (3, 1)
    assert list(tallies.drain()) == []


def test_a_send_is_counted_on_the_day_that_it_was_decided() -> None:
    send = Send("i", "c", "e", "s", "u", "push", "m", "t", START - 1, START)
    tallies = Tallies()
    tallies.effects([send])
    assert list(tallies.drain()) == [(("decided", ("c", "push", "s", ""), TODAY - DAY if START == TODAY else TODAY), 1)]


TALLIES: list[Tally] = [
    (("accounts", ("", "applied"), TODAY), 2),
    (("accounts", ("", "applied"), TODAY + DAY), 5),
    (("accounts", ("", "applied"), TODAY), 3),
]


def test_sums_of_a_run_stop_at_64_bits(tmp_path: Path) -> None:
    """Beam's own coder of numbers fails beyond them, and its own sum begins anew on the other side."""
    most, key = 2**63 - 1, ("value", ("", "c", "bought"), TODAY)
    path = tmp_path / "summary.json"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        as_of = beam.pvalue.AsSingleton(pipeline | "AsOf" >> beam.Create([START]))
        bundles = beam.Create([(key, most), (key, most), (key, 7)], reshuffle=False)
        summed = pipeline | "Large" >> bundles | SumBundles()
        more = pipeline | "More" >> beam.Create([(key, most), (key, 5)])
        _ = (summed, more) | beam.Flatten() | WriteSummary(str(path), as_of)
    [(_, count)] = json.loads(path.read_text())["tallies"]
    assert count == most


def test_a_bounded_run_leaves_one_file_of_sums(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        as_of = beam.pvalue.AsSingleton(pipeline | "AsOf" >> beam.Create([START]))
        _ = pipeline | "Tallies" >> beam.Create(TALLIES) | WriteSummary(str(path), as_of)
    assert json.loads(path.read_bytes()) == {
        "as_of": START,
        "tallies": [[["accounts", ["", "applied"], TODAY], 5], [["accounts", ["", "applied"], TODAY + DAY], 5]],
    }


def test_a_live_job_writes_whole_windows_of_a_minute(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    stamped = [TimestampedValue(tally, second) for tally, second in zip(TALLIES, (0, 59, 60), strict=True)]
    for _ in range(2):  # a window that runs again is the same row
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | "Tallies" >> beam.Create(stamped)
                | "Stamp" >> beam.Map(lambda stamped: stamped)
                | WriteMetrics(url, clock=partial(int, 61_000_000))
            )
    store = open_store(url)
    assert [(row.series, row.window, row.count) for row in store.scan_metrics("accounts")] == [
        ('accounts{outcome="applied"}', 0, 7),
        ('accounts{outcome="applied"}', 60_000_000, 3),
    ]
    store.close()
