"""A run over files that puts aside on disk what goes from step to step: the same rows, sends and report however little
it holds, and as Beam's own shuffles give.
"""

import json
import re
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from commands import Todoke

from transforms.storage.scratch import records
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import StoreError

DEFINITIONS = """\
segments:
  buyers: {owner: a, members: {event: Ordered}}
  often: {owner: a, members: {event: Viewed, count: {at_least: 3}, within: 3d}}
  paying: {owner: a, members: {attribute: plan, is: pro}}
  reachable: {owner: a, members: {any: [{reachable: push}, {reachable: email}]}}
campaigns:
  cart:
    owner: a
    trigger: {enters: often}
    audience: {segment: reachable}
    steps: [{send: nudge}, {wait: 2h}, {send: mail}]
    exit: {event: Ordered}
    reenter: {after: 1d}
    consent: offers
  thanks: {owner: a, trigger: {event: Ordered}, reenter: always, transactional: true, steps: [{send: thanks}]}
  sale:
    owner: a
    trigger: {schedule: {at: "2026-03-06T09:00:00"}}
    audience: {segment: reachable}
    reenter: never
    holdout: 10
    consent: offers
    steps: [{send: mail}]
  restock:
    owner: a
    trigger: {announcement: Restocked}
    audience: {segment: buyers}
    reenter: always
    consent: offers
    steps: [{send: nudge}]
messages:
  nudge: {channel: push, title: "Hi {{ user.plan }}"}
  thanks: {channel: push, title: Thanks}
  mail: {channel: email, subject: Hi, text: "Hello {{ user.plan }}"}
"""
USERS, VISITORS, CALLS = 40, 30, 600
#: So little that everything is written in many runs.
LITTLE = 2_000


def history(seed: int) -> list[str]:
    """Calls of users, of visitors who become users, and of two who share a tablet, a phone or a mailbox; aliases,
    deletions, repetitions, announcements and junk; in the order of arrival.
    """
    chance = Random(seed)

    def who() -> dict[str, str]:
        user, visitor = f"u{chance.randrange(USERS)}", f"v{chance.randrange(VISITORS)}"
        return chance.choice([{"userId": user}, {"userId": user}, {"anonymousId": visitor}])

    def call(number: int) -> dict[str, Any]:
        user, visitor = chance.randrange(USERS), chance.randrange(VISITORS)
        kind = chance.random()
        if kind < 0.25:
            traits = {"plan": chance.choice(["pro", "free"]), "email": f"home{user // 2}@example.com"}
            both = {"anonymousId": f"v{visitor}"} if chance.random() < 0.4 else {}
            device = {"token": f"token {user // 3 if chance.random() < 0.1 else user}", "type": "ios"}
            return {"type": "identify", "userId": f"u{user}", **both, "traits": traits, "context": {"device": device}}
        if kind < 0.26:
            return {"type": "alias", "userId": f"u{user}", "previousId": f"u{chance.randrange(USERS)}"}
        if kind < 0.27:
            return {"type": "delete", "userId": f"u{user}"}
        if kind < 0.45:
            said = {
                "topic": "offers",
                "channel": chance.choice(["push", "email", "email"]),
                "granted": chance.random() < 0.9,
            }
            return {"type": "track", "event": "Consent Changed", "userId": f"u{user}", "properties": said}
        if kind < 0.455:
            return {"type": "track", "event": "Restocked", "properties": {"n": number}}
        return {"type": "track", "event": chance.choice(["Viewed", "Viewed", "Viewed", "Ordered"]), **who()}

    lines = []
    for number in range(CALLS):
        minute = number * 7 * 24 * 60 // CALLS
        time = f"2026-03-{2 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        lines.append(json.dumps({"messageId": f"m{number}", "timestamp": time, **call(number)}))
        if chance.random() < 0.03:
            lines.append(chance.choice([lines[-1], "not JSON", chance.choice(lines)]))
    return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Definitions and a history, in two files, and whole."""
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    lines = history(7)
    for name, some in (("first", lines[: CALLS // 2]), ("then", lines[CALLS // 2 :]), ("whole", lines)):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in some), encoding="utf-8")
    return tmp_path


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a run left in a store, but for who ran it and when."""
    store = sqlite3.connect(path)
    tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: sorted(store.execute(f"SELECT * FROM {name}"), key=repr) for name in tables if name != "lease"}
    found["dead_letters"] = sorted(store.execute("SELECT source, cause, payload FROM dead_letters"))
    store.close()
    return found


def outbox_of(folder: Path) -> list[str]:
    """What went out, and the letters beside it, without the times at which lines were refused."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*")) if file.is_file()]
    lines = [line for text in texts for line in text.splitlines()]
    return sorted(re.sub(r'"time":"[^"]*"|^(Date|Message-ID):.*', "", line) for line in lines)


def ran(todoke: Todoke, folder: Path, name: str, *more: str) -> tuple[Any, ...]:
    """Two runs, the second of which continues: their reports, the rows they left, and what went out."""
    reports = []
    for events, further in (("first", ()), ("then", ("--continue",))):
        flags = ("--definitions=d.yaml", f"--events={events}.jsonl", f"--store=sqlite:{name}.db", f"--outbox={name}")
        done = todoke("run", *flags, f"--report={name}.json", *further, *more)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((folder / f"{name}.json").read_text()) | {"elapsed_s": 0})
    return reports, rows_of(folder / f"{name}.db"), outbox_of(folder / name)


@pytest.mark.all_in_ci
def test_what_is_held_and_what_is_on_disk_and_beams_shuffles_give_the_same(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = ran(todoke, folder, "held")
    reports, rows, _ = in_memory
    assert {"push", "email"} <= reports[0]["sends"].keys() | reports[1]["sends"].keys()
    assert all(rows[name] for name in ("users", "events", "identities", "members", "ledger", "runs", "dead_letters"))
    assert any("same_mailbox" in repr(row) for row in rows["ledger"])
    assert ran(todoke, folder, "beam", "--runner=FnApiRunner") == in_memory
    monkeypatch.setattr(records, "HELD", LITTLE)
    assert ran(todoke, folder, "disk") == in_memory


def test_a_run_without_a_store_sends_the_same_from_disk(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(name: str) -> tuple[Any, list[str]]:
        flags = ("--definitions=d.yaml", "--events=whole.jsonl", "--store=none", f"--outbox={name}")
        done = todoke("run", *flags, f"--report={name}.json")
        assert done.returncode == 0, done.stderr
        return json.loads((folder / f"{name}.json").read_text()) | {"elapsed_s": 0}, outbox_of(folder / name)

    in_memory = alone("held")
    monkeypatch.setattr(records, "HELD", LITTLE)
    assert alone("disk") == in_memory


def ended(path: Path) -> dict[str, Any]:
    """What a run that was cut off must have brought about in the end, as one that was not: without versions."""
    rows = rows_of(path)
    return {
        "members": [row[:3] for row in rows["members"] if row[4]],
        "sends": sorted(row[:2] for row in rows["ledger"]),
        "control": rows["control"],
    }


@pytest.mark.all_in_ci
def test_a_run_that_fails_between_its_steps_is_made_up_for(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some users are written, before anything is sent, and when all is and nobody was told."""

    def flags(name: str) -> list[str]:
        return ["--definitions=d.yaml", "--events=whole.jsonl", f"--store=sqlite:{name}.db", f"--outbox={name}"]

    monkeypatch.setattr(records, "HELD", LITTLE)
    monkeypatch.setattr("transforms.users.transforms._USERS_AT_ONCE", 15)
    assert todoke("run", *flags("whole")).returncode == 0
    for step, after in (("write_users", 1), ("claim", 0), ("publish_control", 0)):
        with monkeypatch.context() as dying:
            dying.setattr(SqliteStore, step, refusing(getattr(SqliteStore, step), after))
            assert todoke("run", *flags(step)).returncode == 1
        done = todoke("run", *flags(step), "--continue")
        assert done.returncode == 0, done.stderr
        assert ended(folder / f"{step}.db") == ended(folder / "whole.db"), step


def refusing(method: Callable[..., Any], after: int) -> Callable[..., Any]:
    """The method, that has no disk left after so many calls."""
    calls = 0

    def refuse(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise StoreError("the disk is full")
        return method(*arguments)

    return refuse


def test_a_full_temporary_folder_ends_the_run_with_its_name_and_the_run_can_go_on(
    todoke: Todoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    flags = ("--definitions=d.yaml", "--events=whole.jsonl", "--store=sqlite:users.db")
    with monkeypatch.context() as filled:
        filled.setattr(records, "HELD", LITTLE)
        filled.setattr(tempfile, "TemporaryFile", full)
        failed = todoke("run", *flags)
    assert failed.returncode == 1
    assert f"cannot be written to {tempfile.gettempdir()} (No space left on device): make room" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert todoke("run", *flags, "--continue").returncode == 0
