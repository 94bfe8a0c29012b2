"""A run over files that was cut off, or failed: every run that continues gives out what is still owed, once."""

import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Todoke

from transforms.storage.open import open_store
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

DEFINITIONS = """\
segments:
  seen: {owner: a, members: {event: Seen, count: {at_least: 2}}}
campaigns:
  hello: {owner: a, trigger: {event: Seen}, reenter: never, consent: news, steps: [{send: hi}]}
  second: {owner: a, trigger: {enters: seen}, consent: news, steps: [{send: there}]}
messages:
  hi: {channel: push, title: Hi}
  there: {channel: push, title: There}
"""
USERS = 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Definitions, and users who get two pushes each."""
    with (tmp_path / "events.jsonl").open("w", encoding="utf-8") as file:
        for number in range(USERS):
            user = f"u{number}"
            device = {"device": {"token": f"token {user}"}}
            for hour in (0, 1):
                time = f"2026-03-01T{hour:02}:00:00Z"
                call = {"type": "track", "event": "Seen", "userId": user, "timestamp": time, "context": device}
                file.write(json.dumps({"messageId": f"{user} {hour}", **call}) + "\n")
    (tmp_path / "nothing.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    return tmp_path


def flags(store: str, events: str = "events.jsonl", outbox: str = "outbox") -> list[str]:
    return ["--definitions=d.yaml", f"--events={events}", f"--store=sqlite:{store}.db", f"--outbox={outbox}"]


def pushed(outbox: Path) -> Counter[str]:
    """The names of the pushes in an outbox."""
    lines = [line for file in sorted(outbox.glob("push-*.jsonl")) for line in file.read_text().splitlines()]
    return Counter(json.loads(line)["send_id"] for line in lines)


def left(path: Path) -> dict[str, Any]:
    """What a run left in a store: members, claims that nobody settled, all other sends by their state, what is owed."""
    store = open_store(f"sqlite:{path}")
    ledger = list(store.scan_ledger())
    found = {
        "members": sorted(row.user for row in store.scan_members("seen")),
        "claimed": {row.send for row in ledger if row.state == "claimed"},
        "settled": {row.send: row.state for row in ledger if row.state != "claimed"},
        "owed": sum(row.open_sends for row in store.scan_users()),
    }
    store.close()
    return found


def gone(found: dict[str, Any]) -> set[str]:
    """What went out."""
    return {send for send, state in found["settled"].items() if state == "handed_off"}


def test_an_outbox_that_could_not_be_written_is_made_up_for(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("transforms.channels.outbox._write_all", full)
        failed = todoke("run", *flags("users", outbox="full"))
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    done = todoke("run", *flags("users", events="nothing.jsonl"), "--continue")
    assert done.returncode == 0, done.stderr
    names, after = pushed(folder / "outbox"), left(folder / "users.db")
    assert (len(names), set(names.values())) == (2 * USERS, {1})
    assert (after["claimed"], after["owed"]) == (set(), 0)
    assert todoke("run", *flags("users"), "--continue").returncode == 0
    assert pushed(folder / "outbox") == names


def test_an_outbox_that_cannot_be_made_is_wrong_use_and_nothing_is_begun(todoke: Todoke, folder: Path) -> None:
    (folder / "full").symlink_to(folder / "nowhere" / "outbox")
    refused = todoke("run", *flags("users", outbox="full"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("todoke: --outbox: full ")
    assert not (folder / "users.db").exists()


@pytest.mark.all_in_ci
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(todoke: Todoke, folder: Path) -> None:
    begun = time.monotonic()
    assert todoke("run", *flags("whole", outbox="whole")).returncode == 0
    whole, lasted = left(folder / "whole.db"), time.monotonic() - begun
    assert (whole["claimed"], whole["owed"], len(pushed(folder / "whole"))) == (set(), 0, 2 * USERS)

    store = folder / "users.db"
    for _ in range(2):
        more = ["--continue"] if store.exists() else []
        run = subprocess.Popen([COMMAND, "run", *flags("users"), *more], cwd=folder, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.4, 1.0) * lasted)
        run.send_signal(signal.SIGKILL)
        run.wait()
    done = todoke("run", *flags("users"), "--continue")
    assert done.returncode == 0, done.stderr
    found, names = left(store), pushed(folder / "outbox")
    assert found["members"] == whole["members"]
    assert found["settled"].keys() | found["claimed"] == whole["settled"].keys()
    assert found["settled"].items() <= whole["settled"].items()
    # Of what was claimed when a run died nobody knows more; everything else went out once.
    assert set(names.values()) == {1}
    assert gone(found) <= names.keys() <= gone(whole)
    assert found["owed"] == len(found["claimed"]) <= 2 * 64


@pytest.mark.all_in_ci
def test_what_a_run_archived_and_did_not_apply_is_applied_when_its_file_is_read_again(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if another file was read in between, by which users got the versions that its rows of events name."""

    def refuse(*_: Any) -> None:
        raise StoreError("the disk is full")

    text = (folder / "events.jsonl").read_text(encoding="utf-8")
    (folder / "next.jsonl").write_text(text.replace("03-01", "03-02").replace('"messageId": "', '"messageId": "next '))
    with monkeypatch.context() as dying:
        dying.setattr(SqliteStore, "write_users", refuse)
        assert todoke("run", *flags("users")).returncode == 1
    for events in ("next.jsonl", "events.jsonl"):
        report = folder / f"{events}.json"
        done = todoke("run", *flags("users", events), "--continue", f"--report={report}")
        assert done.returncode == 0, done.stderr
        told = json.loads(report.read_text())
        assert (told["applied"], told["duplicates"]) == (2 * USERS, 0), events
