"""`todoke metrics`: a table for people, windows as JSON, and what Prometheus reads."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from commands import Todoke
from prometheus_client.parser import text_string_to_metric_families

from transforms.segments.values import MINUTE
from transforms.storage.open import open_store
from transforms.storage.rows import MetricRow
from transforms.users.tally import Tallies

NOW = 1_772_323_200_000_000  # 2026-03-01


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in which a live job has counted, and an older version did before."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    store, tallies = open_store(url), Tallies(MINUTE)
    tallies.count("sends", "hello", "push", "", "handed_off", "first", "a", at=NOW, by=2_000)
    tallies.count("events", 'a/b"', "track", at=NOW + MINUTE)
    tallies.count("value", "a", "hello", "ordered", at=NOW, by=2_500_000)
    for micros in (900, 1_500, 3_000_000):
        tallies.observe("latency", "hello", "push", "arrival", "handed_off", micros=micros, at=NOW)
    store.add_metrics(tallies.rows(NOW))
    store.write_metrics([MetricRow("suppressed/capped/hello", NOW - MINUTE, 7)])
    store.close()
    return url


def test_people_see_sums_and_bounds(url: str, todoke: Todoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = todoke("metrics", "--store", url)
    assert shown.returncode == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "sends campaign hello, channel push, state handed_off, step first, variant a 2,000" in lines
    assert 'events event a/b", type track 1' in lines
    assert "value arm a, campaign hello, goal ordered 2.5" in lines
    assert "suppressed campaign hello, reason capped 7" in lines
    (latency,) = [line for line in lines if line.startswith("latency")]
    assert latency.endswith("3: 50% within 0.002 s, 95% within 5 s, 99% within 5 s")


def test_programs_get_a_line_a_series_and_minute(url: str, todoke: Todoke) -> None:
    shown = todoke("metrics", "--store", url, "--json", "--name", "latency", "--since", "2026-03-01T00:00:00Z")
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert {each["window"] for each in found} == {"2026-03-01T00:00:00Z"}
    labels = {"campaign": "hello", "channel": "push", "from": "arrival", "to": "handed_off"}
    assert {each["labels"].pop("le"): each["count"] for each in found if each["name"] == "latency"} == {
        "0.001": 1,
        "0.002": 1,
        "5": 1,
    }
    assert [each for each in found if each["name"] == "latency_sum"] == [
        {"name": "latency_sum", "labels": labels, "window": "2026-03-01T00:00:00Z", "count": 3_002_400}
    ]
    later = todoke("metrics", "--store", url, "--json", "--since", "2026-03-01T00:00:30Z")
    assert [json.loads(line)["name"] for line in later.stdout.splitlines()] == ["events"]


def test_asking_writes_nothing(url: str, todoke: Todoke) -> None:
    file = Path(url.removeprefix("sqlite:"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # which opening a store to write would change
    before = file.read_bytes()
    assert todoke("metrics", "--store", url).returncode == 0
    definitions = Path(__file__).parents[2] / "todoke" / "demo" / "shop.yaml"
    asked = todoke("explain", "ann", "first_purchase", "--store", url, "--definitions", definitions)
    assert "the store knows no user" in asked.stderr
    assert file.read_bytes() == before


def test_prometheus_takes_it(url: str, todoke: Todoke) -> None:
    text = todoke("metrics", "--store", url, "--prometheus").stdout
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == {
        "todoke_sends",
        "todoke_events",
        "todoke_value",
        "todoke_latency_seconds",
        "todoke_suppressed",
    }
    (event,) = families["todoke_events"].samples
    assert (event.labels, event.value) == ({"event": 'a/b"', "type": "track"}, 1.0)


def test_names_that_look_alike_are_one_series_in_any_locale(
    url: str, process: Todoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    store, tallies = open_store(url), Tallies(MINUTE)
    for name in ("é\x00", "é\x1b", "é\u2028", "other"):
        tallies.count("events", name, "track", at=NOW)
    store.add_metrics(tallies.rows(NOW))
    store.close()
    text = process("metrics", "--store", url, "--prometheus").stdout
    (events,) = [found for found in text_string_to_metric_families(text) if found.name == "todoke_events"]
    assert {each.labels["event"]: each.value for each in events.samples} == {'a/b"': 1, "é�": 3, "other": 1}
    assert len(events.samples) == 3


def test_prometheus_own_tool_has_nothing_to_say(url: str, todoke: Todoke, promtool: str) -> None:
    text = todoke("metrics", "--store", url, "--prometheus").stdout
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_metric_that_is_none_is_wrong_use_and_an_empty_store_says_so(
    url: str, tmp_path: Path, todoke: Todoke
) -> None:
    wrong = todoke("metrics", "--store", url, "--name", "sent")
    assert wrong.returncode == 2
    assert "--name: there is no metric `sent`; did you mean `sends`?" in wrong.stderr
    empty = f"sqlite:{tmp_path / 'empty.db'}"
    open_store(empty).close()
    nothing = todoke("metrics", "--store", empty)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing was counted" in nothing.stderr
    assert todoke("metrics", "--store", empty, "--prometheus").stdout == ""
