"""`todoke` in this process and as one of its own, and a store that a real run of it left behind."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke, run_process, run_todoke

DEFINITIONS = """\
segments:
  buyers: {owner: crm, members: {event: Order Completed}}
  regulars: {owner: crm, members: {event: Order Completed, count: {at_least: 2}}}
  recent: {owner: crm, members: {event: Order Completed, within: 7d}}
  nobody: {owner: crm, members: {event: Never}}
messages:
  thanks: {channel: push, title: "Thank you, {{ user.name }}"}
  again: {channel: push, title: "Come again"}
campaigns:
  greet:
    owner: crm
    trigger: {enters: buyers}
    steps: [{send: thanks}, {wait: 300d}, {send: again}]
    consent: offers
"""


def call(type_: str, day: int, **fields: Any) -> str:
    time = f"2026-03-{day:02}T12:00:00Z"
    number = json.dumps(fields, sort_keys=True)
    return json.dumps({"type": type_, "messageId": f"{type_} {time} {number}", "timestamp": time, **fields})


def order(day: int, event: str = "Order Completed", **fields: Any) -> str:
    return call("track", day, event=event, properties={"total": 10 + day, "tags": ["[b]", "x"]}, **fields)


PHONE = {"device": {"type": "ios", "token": "token-ann"}, "timezone": "Asia/Tokyo"}
EVENTS = [
    call("identify", 1, userId="ann", traits={"name": "Ann", "plan": "pro"}, context=PHONE),
    order(2, anonymousId="device-1"),
    call("identify", 3, userId="ann", anonymousId="device-1", traits={}),
    order(10, userId="ann"),
    order(19, userId="bob"),
    call(
        "identify", 5, userId="cat", traits={"name": "Cat"}, context={"device": {"type": "ios", "token": "token-cat"}}
    ),
    order(6, userId="cat"),
    order(11, anonymousId="device-2"),
    order(12, event="[/odd] [red]\x1b[2Jname", userId="b[old]"),
    "not JSON",
    "",
    order(20, userId="b[old]"),
]


@pytest.fixture
def todoke(tmp_path: Path) -> Todoke:
    """Run the command in an empty folder, in this process; standard output and error apart."""

    def todoke(*arguments: object) -> subprocess.CompletedProcess[str]:
        return run_todoke(tmp_path, *arguments)

    return todoke


@pytest.fixture
def process(tmp_path: Path) -> Todoke:
    """The same as a process of its own, which takes two seconds longer where Beam is imported."""

    def process(*arguments: object) -> subprocess.CompletedProcess[str]:
        return run_process(tmp_path, *arguments)

    return process


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with definitions, events, and what a run of them wrote: a store, an outbox and a report."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (folder / "events.jsonl").write_text("\n".join(EVENTS) + "\n", encoding="utf-8")
    flags = ("--definitions", "definitions.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db")
    done = run_todoke(folder, "run", *flags, "--report", "report.json", "--runner=FnApiRunner")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def store(finished: Path) -> str:
    return f"sqlite:{finished / 'users.db'}"
