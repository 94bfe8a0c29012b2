"""`todoke sends`: whom a reason struck."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke

from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow

NOW = 1_772_000_000_000_000
HOUR = 3_600_000_000


def rows() -> list[LedgerRow]:
    said = [
        ("ann", "s1", "suppressed", "greet", "quiet_hours"),
        ("bob", "s2", "suppressed", "greet", "no_address: none is known"),
        ("cat", "s3", "suppressed", "win_back", "quiet_hours"),
        ("dan\x1b[2J", "s4", "unknown", "greet", "timeout"),
        ("eve", "s5", "handed_off", "greet", "projects/p/messages/1"),
        ("fay", "s6", "claimed", "greet", ""),
        ("\0mailbox:0f1e", "0f1e", "claimed", "greet", "s9"),
    ]
    return [
        LedgerRow(user, send, state, campaign, "one", "push", NOW - place * HOUR, NOW, detail=detail)
        for place, (user, send, state, campaign, detail) in enumerate(said)
    ]


@pytest.fixture
def asked(todoke: Todoke, url: str) -> Any:
    store = open_store(url)
    store.record(rows())
    store.close()

    def ask(*words: str) -> list[str]:
        done = todoke("sends", "--store", url, "--json", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line)["user"] for line in done.stdout.splitlines()]

    return ask


def test_whom_a_reason_struck(asked: Any) -> None:
    assert asked("--reason", "quiet_hours") == ["ann", "cat"]
    assert asked("--reason", "quiet_hours", "--campaign", "win_back") == ["cat"]
    assert asked("--reason", "no_address") == ["bob"]
    assert asked("--reason", "quiet") == []


def test_states_campaigns_and_times(asked: Any) -> None:
    assert asked() == ["ann", "bob", "cat", "dan\x1b[2J", "eve", "fay"]
    assert asked("--state", "unknown") == ["dan\x1b[2J"]
    assert asked("--state", "claimed", "--state", "handed_off") == ["fay", "eve"]
    assert asked("--campaign", "greet", "--limit", "3") == ["ann", "bob", "dan\x1b[2J"]
    assert asked("--since", "2026-02-25T05:13:20Z") == ["ann", "bob"]


def test_lines_for_people_and_values_for_programs(todoke: Todoke, tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.record(rows())
    store.close()
    lines = todoke("sends", "--store", "sqlite:s.db").stdout.splitlines()
    assert lines[0] == "2026-02-25T06:13:20Z  suppressed  push  greet / one  ann  quiet_hours"
    assert "dan�[2J" in lines[3]
    assert [line for line in lines if line != line.rstrip()] == []
    done = todoke("sends", "--store", "sqlite:s.db", "--state", "unknown", "--json")
    assert json.loads(done.stdout) == {
        "user": "dan\x1b[2J",
        "time": "2026-02-25T03:13:20Z",
        "kind": "send",
        "campaign": "greet",
        "step": "one",
        "channel": "push",
        "state": "unknown",
        "detail": "timeout",
        "id": "s4",
        "at": "2026-02-25T06:13:20Z",
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--state", "sent"), "--state: there is no state `sent`; expected one of suppressed, failed, "),
        (("--since", "yesterday"), "--since: "),
        (("--limit", "0"), "limit"),
    ],
)
def test_what_cannot_be_asked(todoke: Todoke, store: str, words: tuple[str, ...], said: str) -> None:
    done = todoke("sends", "--store", store, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_real_run_is_asked(todoke: Todoke, store: str) -> None:
    found = [json.loads(line) for line in todoke("sends", "--store", store, "--json").stdout.splitlines()]
    assert {entry["kind"] for entry in found} == {"send", "refusal"}
    [bob] = [entry for entry in found if entry["user"] == "bob"]
    assert bob["kind"] == "refusal"
    struck = todoke("sends", "--store", store, "--campaign", "greet", "--reason", bob["detail"], "--json").stdout
    assert "bob" in [json.loads(line)["user"] for line in struck.splitlines()]


def test_a_file_of_an_older_version_is_brought_up_to_date_by_asking(todoke: Todoke, tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 's.db'}")
    store.record(rows())
    store.close()
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.executescript("DROP INDEX ledger_by_state; DROP TABLE dead_letters")
    connection.close()
    for command in ("sends", "dead-letters"):
        done = todoke(command, "--store", "sqlite:s.db")
        assert (done.returncode, done.stderr) == (0, "")
    assert len(todoke("sends", "--store", "sqlite:s.db").stdout.splitlines()) == 6
