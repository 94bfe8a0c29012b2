"""A provider that is away, or whose credentials are: a run over files leaves its sends to the next one."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from todoke.cli import app
from transforms.channels import courier
from transforms.channels.push.local_fcm import LocalFcm
from transforms.channels.sweep import Swept, sweep
from transforms.storage.open import open_store

DEFINITIONS = """\
campaigns:
  hello: {owner: a, trigger: {event: Seen}, reenter: never, consent: news, steps: [{send: hi}], max_event_age: 1d}
messages:
  hi: {channel: push, title: Hi}
"""
USERS = 70


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "LONGEST_PAUSE", 0.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Definitions, and users who called a moment ago."""
    monkeypatch.chdir(tmp_path)
    now = datetime.now(UTC) - timedelta(minutes=1)
    with (tmp_path / "events.jsonl").open("w", encoding="utf-8") as file:
        for number in range(USERS):
            user, device = f"u{number}", {"device": {"token": f"token{number}"}}
            call = {"type": "track", "event": "Seen", "userId": user, "timestamp": now.isoformat(), "context": device}
            file.write(json.dumps({"messageId": f"m{number}", **call}) + "\n")
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    return tmp_path


def go(push: str, *more: str, events: str = "events.jsonl") -> dict[str, Any]:
    """Run, and what the report says of sends."""
    argv = ["--definitions=d.yaml", f"--events={events}", "--store=sqlite:u.db", f"--push={push}", "--report=r.json"]
    Path("r.json").unlink(missing_ok=True)
    ran = CliRunner().invoke(app, ["run", *argv, *more])
    return {"exit": ran.exit_code, "said": ran.stdout + ran.stderr, **said()}


def said() -> dict[str, Any]:
    report = json.loads(Path("r.json").read_text("utf-8"))
    return {name: report[name] for name in ("sends", "suppressed")}


def ledger() -> Counter[str]:
    store = open_store("sqlite:u.db")
    rows = Counter(f"{row.state} {row.detail.partition(': ')[0]}".strip() for row in store.scan_ledger())
    store.close()
    return rows


def owed() -> int:
    store = open_store("sqlite:u.db")
    found = sum(row.open_sends for row in store.scan_users())
    store.close()
    return found


@pytest.mark.usefixtures("folder")
def test_sends_wait_for_a_server_that_is_away_and_go_out_once() -> None:
    server = LocalFcm.start()
    push = f"fcm:demo@{server.url}"
    server.go_down()
    away = go(push)
    assert (away["exit"], away["sends"], away["suppressed"]) == (1, {"push": {"later": USERS}}, {})
    assert "push later" in away["said"]
    assert "todoke: no send could be handed over: push (70)" in away["said"]
    assert (ledger(), owed()) == (Counter({"claimed retry": USERS}), USERS)
    assert go(push, "--continue", events="none.jsonl")["exit"] == 1
    assert (ledger(), owed()) == (Counter({"claimed retry": USERS}), USERS)
    server.come_back()
    store = open_store("sqlite:u.db")
    year = 366 * 86_400_000_000
    assert sweep(store, lambda _: None, int(datetime.now(UTC).timestamp() * 1_000_000) + year) == Swept({})
    store.close()
    back = go(push, "--continue", events="none.jsonl")
    assert (back["exit"], back["sends"]) == (0, {"push": {"handed_off": USERS}})
    assert go(push, "--continue")["sends"] == {}
    assert Counter(message["token"] for message in server.received) == {f"token{n}": 1 for n in range(USERS)}
    assert owed() == 0
    server.stop()


@pytest.mark.usefixtures("folder")
def test_what_speaks_of_the_message_fails_as_ever_and_a_channel_that_is_reached_is_no_failed_run() -> None:
    lines = Path("events.jsonl").read_text("utf-8")
    Path("events.jsonl").write_text(lines.replace('"token5"', '"quota-5"'), encoding="utf-8")
    server = LocalFcm.start()
    ran = go(f"fcm:demo@{server.url}")
    assert (ran["exit"], ran["sends"]) == (0, {"push": {"failed": 1, "handed_off": USERS - 1}})
    assert owed() == 0
    server.stop()


@pytest.mark.usefixtures("folder")
def test_a_claim_that_waits_is_taken_at_once_whenever_it_is_due() -> None:
    """A live job had put it off for an hour."""
    server = LocalFcm.start()
    server.go_down()
    assert go(f"fcm:demo@{server.url}")["exit"] == 1
    store = open_store("sqlite:u.db")
    hour = 3_600_000_000
    store.record([msgspec.structs.replace(row, lease=row.lease + hour) for row in store.scan_ledger()])
    store.close()
    server.come_back()
    assert go(f"fcm:demo@{server.url}", "--continue", events="none.jsonl")["sends"] == {"push": {"handed_off": USERS}}
    server.stop()


@pytest.mark.usefixtures("folder")
def test_a_send_that_nobody_could_hand_over_in_time_expires_and_is_owed_no_more() -> None:
    server = LocalFcm.start()
    server.go_down()
    text = Path("d.yaml").read_text("utf-8").replace("max_event_age: 1d", "max_event_age: 1d, max_delay: 1s")
    Path("d.yaml").write_text(text, encoding="utf-8")
    ran = go(f"fcm:demo@{server.url}")
    assert (ran["exit"], ran["sends"], ran["suppressed"]) == (0, {}, {"expired": USERS})
    assert (ledger(), owed()) == (Counter({"expired": USERS}), 0)
    server.stop()
