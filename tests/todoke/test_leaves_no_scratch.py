"""What a command puts aside among the temporary files is gone, however the command ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import COMMAND

from transforms.storage.scratch.folder import scratch_folder

CALLS = 30_000
DEFINITIONS = """\
segments:
  seen: {owner: a, members: {event: Seen, count: {at_least: 2}}}
"""
MAPPING = """\
user: {column: user}
attributes: {city: {column: city}}
"""
STORE = ("--store=sqlite:users.db",)
EVENTS = ("--events=events.jsonl", "--definitions=d.yaml")
COMMANDS = {
    "import": ("import", "users.csv", "--mapping=m.yaml", "--to=calls.jsonl"),
    "import into a store": ("import", "users.csv", "--mapping=m.yaml", *STORE, "--definitions=d.yaml"),
    "export": ("export", *STORE, "--events=out-*.parquet"),
    "run": ("run", *EVENTS, "--store=sqlite:more.db"),
    "users": ("backfill", *EVENTS, "--write=users", "--as-of=2026-03-02T00:00:00Z", "--store=sqlite:more.db"),
    "memberships": ("backfill", *EVENTS, "--write=memberships", "--as-of=2026-03-02T00:00:00Z", "--out=members"),
    "memberships, by a runner": (
        "backfill",
        *EVENTS,
        "--write=memberships",
        "--as-of=2026-03-02T00:00:00Z",
        "--out=members",
        "--runner=FnApiRunner",
    ),
    "audit": ("backfill", "--events=store", "--definitions=d.yaml", *STORE, "--write=audit"),
    "preview": ("preview", "seen", "--events=events.jsonl", "--definitions=d.yaml"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Definitions, events, a table of users, and a store that has seen the events."""
    place = tmp_path_factory.mktemp("scratch")
    with (place / "events.jsonl").open("w", encoding="utf-8") as file:
        for number in range(CALLS):
            call = {"type": "track", "event": "Seen", "userId": f"u{number % 10_000}"}
            file.write(json.dumps({"messageId": str(number), **call, "timestamp": "2026-03-01T00:00:00Z"}) + "\n")
    with (place / "users.csv").open("w", encoding="utf-8") as file:
        file.write("user,city\n")
        file.writelines(f"u{number},Kyoto\n" for number in range(CALLS))
    (place / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (place / "m.yaml").write_text(MAPPING, encoding="utf-8")
    done = subprocess.run([COMMAND, "run", *EVENTS, *STORE], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place


@contextmanager
def begun(folder: Path, scratch: Path, words: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """A command that has put something aside."""
    with subprocess.Popen(
        [COMMAND, *words],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        while not [*scratch.glob("todoke-*/scratch")] and running.poll() is None:
            time.sleep(0.002)
        yield running
        running.kill()


def left(scratch: Path) -> list[Path]:
    return sorted(scratch.glob("*todoke-*"))


@pytest.mark.all_in_ci
@pytest.mark.parametrize(
    ("command", "how"),
    [*((command, signal.SIGTERM) for command in COMMANDS), ("export", signal.SIGINT), ("run", signal.SIGINT)],
)
def test_a_command_that_is_stopped_leaves_nothing(
    folder: Path, tmp_path: Path, command: str, how: signal.Signals
) -> None:
    with begun(folder, tmp_path, COMMANDS[command]) as running:
        running.send_signal(how)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 130}[how], said
    assert "Traceback" not in said
    assert not left(tmp_path)


def test_a_signal_while_nothing_can_be_raised_stops_it_all_the_same() -> None:
    script = """
import os, signal, time, todoke.cli

class Deaf:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)

def work():
    Deaf()
    time.sleep(60)

todoke.cli.app = work
todoke.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, "ignored" in done.stderr) == (-signal.SIGTERM, False), done.stderr


@pytest.mark.all_in_ci
@pytest.mark.parametrize("command", ["import", "export", "memberships, by a runner"])
def test_what_a_killed_command_left_the_next_one_removes(folder: Path, tmp_path: Path, command: str) -> None:
    with begun(folder, tmp_path, COMMANDS[command]) as running:
        running.kill()
        running.wait()
    assert left(tmp_path)
    done = subprocess.run(
        [COMMAND, *COMMANDS["preview"]],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not left(tmp_path)


def test_what_others_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "todoke-mine").mkdir()
    asked = "from transforms.storage.scratch.folder import scratch_folder\nwith scratch_folder(): pass"
    with scratch_folder() as used:
        (used / "rows").write_text("rows", encoding="utf-8")
        subprocess.run([sys.executable, "-c", asked], env=os.environ | {"TMPDIR": str(tmp_path)}, check=True)
        assert (used / "rows").read_text("utf-8") == "rows"
    assert left(tmp_path) == [tmp_path / "todoke-mine"]
