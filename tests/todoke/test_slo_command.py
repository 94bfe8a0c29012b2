"""`todoke slo` and `todoke slo check`: levels of a store for people and for programs."""

import json
from pathlib import Path

import pytest
from commands import Todoke

from transforms.segments.values import DAY, HOUR, MINUTE
from transforms.storage.open import open_store
from transforms.users.tally import Tallies

NOW = 1_775_000_000_000_000 // DAY * DAY + 12 * HOUR
DEFINITIONS = """\
policies:
  owners: {growth: {name: Growth team, contact: growth@example.com}}
slos:
  accounted: {owner: growth, indicator: accounting, objective: 99, window: 30d, status: live}
  mailed: {owner: growth, indicator: {success: {channel: email}}, objective: 99.5, window: 7d}
"""
FLAGS = ("--store", "sqlite:users.db", "--definitions", "levels.yaml", "--as-of", "2026-03-31T12:00:00Z")


@pytest.fixture
def levels(tmp_path: Path) -> Path:
    (tmp_path / "levels.yaml").write_text(DEFINITIONS, encoding="utf-8")
    store = open_store(f"sqlite:{tmp_path / 'users.db'}")
    tallies = Tallies(MINUTE)
    tallies.count("accounts", "", "applied", at=NOW - HOUR, by=900)
    tallies.count("accounts", "", "dead_letter", at=NOW - MINUTE, by=100)
    store.add_metrics(tallies.rows(NOW))
    store.close()
    return tmp_path


def test_the_table_and_who_is_to_act(levels: Path, todoke: Todoke) -> None:
    done = todoke("slo", *FLAGS)
    assert done.returncode == 0, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(row.startswith("accounted growth 99 % in 30d exhausted -900.0% 100 of 1,000") for row in rows), (
        done.stdout
    )
    assert any(row.startswith("mailed growth 99.5 % in 7d no data (trial) 0 of 0") for row in rows), done.stdout
    assert (
        "accounted: Growth team (growth@example.com) acts since 2026-03-31T11:59:00Z: -900.0% of the budget is left"
        in done.stderr
    )
    assert "mailed: the ticket of 24 h is left out" in done.stderr


def test_exact_values_for_programs(levels: Path, todoke: Todoke) -> None:
    done = todoke("slo", "accounted", *FLAGS, "--json")
    [shown] = map(json.loads, done.stdout.splitlines())
    assert (shown["slo"], shown["objective"]) == ("accounted", "99")
    assert (shown["state"], shown["remaining"]) == ("exhausted", "-9")
    assert (shown["bad"], shown["total"], shown["since"]) == (100, 1000, "2026-03-31T11:59:00Z")
    assert [each["factor"] for each in shown["alerts"]] == ["72/5", "6", "3", "1"]
    assert [each["fires"] for each in shown["alerts"]] == [True, True, True, True]


def test_a_level_that_is_not_there(levels: Path, todoke: Todoke) -> None:
    done = todoke("slo", "acounted", *FLAGS)
    assert (done.returncode, "acounted" in done.stderr, "accounted" in done.stderr) == (2, True, True)


def test_trials_are_checked(levels: Path, todoke: Todoke) -> None:
    done = todoke("slo", "check", *FLAGS)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        "mailed: there are no events: nothing is known, and nothing would alert",
    )
    assert "accounted" not in done.stdout
    done = todoke("slo", "check", "accounted", *FLAGS, "--json")
    [shown] = map(json.loads, done.stdout.splitlines())
    assert (shown["sane"], shown["findings"][-2]["kind"]) == (False, "missed")
