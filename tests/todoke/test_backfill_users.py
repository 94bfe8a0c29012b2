"""`todoke backfill --write users`: the same users as a run over the same files, and nothing that could be sent."""

import json
from typing import Any

import pytest

from transforms.storage.open import open_store
from transforms.users.lease import JobLease
from transforms.users.user import decode_user

FLAGS = {
    "--definitions": "definitions.yaml",
    "--events": "events.jsonl",
    "--as-of": "2026-03-25T00:00:00Z",
    "--store": "sqlite:filled.db",
}


@pytest.fixture
def backfill(todoke: Any, tmp_path: Any, finished: Any) -> Any:
    """Backfill with flags that would be right but for the given ones, in a folder of its own."""
    for name in ("definitions.yaml", "events.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())

    def backfill(*more: str, **flags: str | None) -> Any:
        given = FLAGS | {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
        return todoke("backfill", *[word for flag in given.items() if flag[1] is not None for word in flag], *more)

    return backfill


def test_the_users_are_those_of_a_run_and_nothing_is_sent(backfill: Any, todoke: Any, tmp_path: Any) -> None:
    done = backfill(report="report.json")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "outbox").exists()
    given = [word for flag in (FLAGS | {"--store": "sqlite:run.db"}).items() for word in flag]
    assert todoke("run", *given, "--report", "run.json").returncode == 0
    filled, run = (open_store(f"sqlite:{tmp_path / name}.db") for name in ("filled", "run"))
    states = [{row.user: decode_user(row.state) for row in store.scan_users()} for store in (filled, run)]
    assert states[0].keys() == states[1].keys()
    for name, user in states[0].items():
        other = states[1][name]
        assert (user.members, user.profile, user.leaves) == (other.members, other.profile, other.leaves)
        assert (user.journeys, user.entries, user.sends) == ({}, {}, {})
    assert any(user.entries for user in states[1].values()), "the run itself has sent"
    assert {row.detail for row in filled.scan_ledger()} <= {"historical"}
    reports = [json.loads((tmp_path / name).read_bytes()) for name in ("report.json", "run.json")]
    for key in ("read", "applied", "duplicates", "deleted", "dead_letters", "later", "users", "segments", "as_of"):
        assert reports[0][key] == reports[1][key], key
    assert (reports[0]["sends"], reports[0]["entries"], reports[0]["waiting"]) == ({}, 0, 0)
    assert (reports[0]["write"], reports[0]["engine"]) == ("users", "rows")


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        ({"as_of": "2999-01-01T00:00:00Z"}, "--as-of: 2999-01-01T00:00:00Z is ahead"),
        ({"as_of": "2026-07-01"}, "--as-of: expected a time with a zone"),
        ({"as_of": None}, "--as-of: name the time up to which the files are read"),
        ({"store": "none"}, "--store: a backfill writes into a store"),
        ({"store": "users.db"}, "expected sqlite:PATH or bigtable:PROJECT/INSTANCE"),
        ({"events": "pubsub:projects/proj-x/subscriptions/events"}, "--events: a backfill reads files to their end"),
        ({"engine": "columns"}, "whole users take --engine rows"),
        ({"write": "members"}, "invalid choice: 'members'"),
        ({"activation": "2026-03-25T00:00:00Z"}, "are for --write seeds"),
        ({"write": "seeds"}, "with plain definitions no condition is new"),
        ({"definitions": "nowhere.yaml"}, "todoke: nowhere.yaml: there is no such file or folder"),
        ({"continue": "x"}, "neither Todoke nor Beam knows --continue"),
    ],
)
def test_wrong_use_ends_with_two_and_writes_nothing(
    backfill: Any, tmp_path: Any, flags: dict[str, str | None], cause: str
) -> None:
    before = sorted(tmp_path.iterdir())
    done = backfill(**flags)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_a_live_job_works_on_is_refused(backfill: Any, tmp_path: Any) -> None:
    live = JobLease(open_store(f"sqlite:{tmp_path / 'filled.db'}"), "a live job")
    live.take()
    done = backfill()
    assert (done.returncode, done.stdout) == (2, "")
    assert "todoke: a live job (process " in done.stderr
    assert "holds its lease until 20" in done.stderr
    live.release()
    assert backfill().returncode == 0


def test_a_store_that_holds_users_is_refused(backfill: Any, tmp_path: Any) -> None:
    assert backfill().returncode == 0
    before = (tmp_path / "filled.db").read_bytes()
    done = backfill()
    assert (done.returncode, done.stdout) == (2, "")
    assert "the store holds users already" in done.stderr
    assert (tmp_path / "filled.db").read_bytes() == before
