"""`todoke slo enforce` writes what is held back, and takes it back once there is budget again."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from commands import Todoke

from transforms.events.live.feed import now
from transforms.segments.values import HOUR, MINUTE
from transforms.storage.open import open_store
from transforms.storage.rows import HoldRow
from transforms.users.tally import Tallies

LEVELS = """\
policies: {owners: {us: {name: Growth team, contact: growth@example.com}}}
slos:
  accounted: {owner: us, indicator: accounting, objective: 99, status: live, on_exhausted: {hold_below_priority: 30}}
  strict: {owner: us, indicator: accounting, objective: 99, status: live, on_exhausted: {hold_below_priority: 60}}
  tried: {owner: us, indicator: accounting, objective: 99, on_exhausted: {hold_below_priority: 90}}
  warned: {owner: us, indicator: accounting, objective: 99, status: live}
"""
FLAGS = ("--store", "sqlite:users.db", "--definitions", "levels.yaml")


def count(folder: Path, good: int, bad: int) -> None:
    with closing(open_store(f"sqlite:{folder / 'users.db'}")) as store:
        tallies = Tallies(MINUTE)
        tallies.count("accounts", "", "applied", at=now() - HOUR, by=good)
        tallies.count("accounts", "", "dead_letter", at=now() - HOUR, by=bad)
        store.add_metrics(tallies.rows(now()))


def hold(folder: Path) -> HoldRow | None:
    with closing(open_store(f"sqlite:{folder / 'users.db'}")) as store:
        return store.read_hold()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "levels.yaml").write_text(LEVELS)
    count(tmp_path, 99, 1)
    return tmp_path


def test_the_highest_priority_of_exhausted_live_levels_is_held_until_it_ends(folder: Path, todoke: Todoke) -> None:
    before = now()
    done = todoke("slo", "enforce", *FLAGS, "--for", "30m")
    assert done.returncode == 0, done.stderr
    row = hold(folder)
    assert row is not None
    assert (row.below, row.levels) == (60, ("accounted", "strict"))
    assert before <= row.since <= now()
    assert row.until - row.since == 30 * MINUTE
    assert done.stdout.startswith("sends of a priority below 60 wait until ")


def test_it_is_taken_back_once_there_is_budget_again(folder: Path, todoke: Todoke) -> None:
    todoke("slo", "enforce", *FLAGS)
    count(folder, 10_000, 0)
    done = todoke("slo", "enforce", *FLAGS, "--json")
    row = hold(folder)
    assert row is not None
    assert (row.below, row.levels, row.until) == (0, (), row.since)
    assert json.loads(done.stdout)["below"] == 0


def test_a_hold_that_is_said_anew_began_when_it_did(folder: Path, todoke: Todoke) -> None:
    """Where the clock of this command is ahead of the job's, sends would else go out each time until the job's is
    there.
    """
    todoke("slo", "enforce", *FLAGS, "--for", "10m")
    first = hold(folder)
    todoke("slo", "enforce", *FLAGS, "--for", "20m")
    second = hold(folder)
    assert first is not None
    assert second is not None
    assert (second.below, second.since) == (60, first.since)
    assert second.until > first.until
    with closing(open_store(f"sqlite:{folder / 'users.db'}")) as store:  # one that is over has nothing to do with it
        store.write_hold(HoldRow(60, ("strict",), now() - HOUR, now() - MINUTE))
    before = now()
    todoke("slo", "enforce", *FLAGS)
    third = hold(folder)
    assert third is not None
    assert third.since >= before


def test_an_exhausted_level_that_only_warns_holds_nothing(folder: Path, todoke: Todoke) -> None:
    (folder / "levels.yaml").write_text("\n".join(line for line in LEVELS.splitlines() if "live, on" not in line))
    assert todoke("slo", "enforce", *FLAGS).stdout == "nothing is held back\n"


@pytest.mark.parametrize("length", ["30s", "8d", "soon"])
def test_a_hold_has_an_end(folder: Path, todoke: Todoke, length: str) -> None:
    done = todoke("slo", "enforce", *FLAGS, "--for", length)
    assert (done.returncode, "--for: " in done.stderr, hold(folder)) == (2, True, None)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, todoke: Todoke) -> None:
    (tmp_path / "levels.yaml").write_text(LEVELS)
    assert todoke("slo", "enforce", *FLAGS).returncode == 2
    assert not (tmp_path / "users.db").exists()
