"""`--log-format json`: each line of standard error is an object, whatever happens."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Todoke

DEFINITIONS = """\
segments:
  seen: {owner: a, members: {event: Seen}}
"""


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    call = {"userId": "ada", "timestamp": "2026-03-01T00:00:00Z"}
    lines = [{"type": "track", "event": "Seen", "messageId": "1", **call}]
    (tmp_path / "events.jsonl").write_text("\n".join([*map(json.dumps, lines), "no JSON"]), encoding="utf-8")
    return ["--definitions=d.yaml", "--events=events.jsonl", "--store=sqlite:u.db"]


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_that_goes_well_says_nothing_but_its_report(process: Todoke, flags: list[str]) -> None:
    done = process("run", *flags, "--log-format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "messages" in done.stdout


@pytest.mark.all_in_ci
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file here that is always full")
@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--as-of", "tomorrow"], 2, "--as-of: expected a time with a zone"),
        (["--no-such-flag"], 2, "neither Todoke nor Beam knows --no-such-flag"),
        (["--runner", "Nowhere"], 2, "--runner: "),
        (["--direct_num_workers=x"], 2, "argument --direct_num_workers: invalid int value"),
        (["--dead-letters", "/dev/full"], 1, "the pipeline failed: "),
    ],
)
def test_what_ends_a_run_is_an_object(process: Todoke, flags: list[str], more: list[str], code: int, said: str) -> None:
    done = process("run", *flags, *more, "--log-format=json", "--job_name", "shop")
    assert (done.returncode, done.stdout) == (code, "")
    *_, last = objects(done.stderr)
    assert last["message"].startswith(said)
    assert (last["severity"], last["job"], last["exit_code"]) == ("ERROR", "shop", code)
    assert "traceback" not in last


def test_mistakes_in_definitions_are_one_object(todoke: Todoke, tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "d.yaml").write_text("segments:\n  A: {}\n  b: {}\n", encoding="utf-8")
    done = todoke("run", *flags, "--log-format=json", "--debug")
    assert done.returncode == 2
    [error] = objects(done.stderr)
    assert (error["error"], len(error["message"].splitlines())) == ("DefinitionsError", 5)
    assert error["traceback"].startswith("Traceback ")


def test_a_backfill_takes_it_too(todoke: Todoke, flags: list[str]) -> None:
    given = [*flags, "--as-of=2026-04-01T00:00:00Z", "--log-format=json"]
    done = todoke("backfill", *given)
    assert (done.returncode, done.stderr) == (0, "")
    again = todoke("backfill", *given)
    assert again.returncode == 2
    [error] = objects(again.stderr)
    assert (error["error"], error["job"]) == ("RunRefused", "backfill")


@pytest.mark.parametrize("more", [["--restarts", "many"], ["--store"]])
def test_flags_that_cannot_be_read_are_an_object_too(todoke: Todoke, flags: list[str], more: list[str]) -> None:
    done = todoke("run", *flags, "--log-format", "json", *more)
    assert done.returncode == 2
    [error] = objects(done.stderr)
    assert more[0] in error["message"]
    assert error["exit_code"] == 2


@pytest.mark.parametrize(
    "words", [["run", b"--store=sqlite:\xff.db", "--log-format", "json"], ["--log-format=json", "--nope"]]
)
def test_arguments_that_are_no_text_and_flags_before_the_command_are_objects_too(
    tmp_path: Path, words: list[str | bytes]
) -> None:
    """As a process of its own: Python reads bytes that are no UTF-8 as half surrogates."""
    done = subprocess.run([COMMAND, *words], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    [error] = objects(done.stderr.decode())
    assert (error["severity"], error["exit_code"]) == ("ERROR", 2)
    assert "UTF-8" in error["message"] or "--log-format" in error["message"] or "--nope" in error["message"]


def test_it_is_text_or_json(todoke: Todoke, flags: list[str]) -> None:
    done = todoke("run", *flags, "--log-format", "xml")
    assert done.returncode == 2
    assert "--log-format: invalid choice: 'xml'" in done.stderr
    assert todoke("members", "a", "--store", "sqlite:u.db", "--log-format", "json").returncode == 2
