"""Help comes at once, for every command, and without what the commands themselves need."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from todoke.cli import app
from todoke.version import commit

ROOT = Path(__file__).parent.parent.parent
COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)
HEAVY = "apache_beam firebase_admin google.cloud.bigtable google.cloud.pubsub aiohttp grpc mjml polars plotly pyarrow"


def test_help_names_every_command_with_what_it_does(process):
    done = process("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(
        re.findall(r"^  ([\w-]+(?: [\w-]+)?)  +(\S.*)$", done.stdout.partition("Definitions:")[2], re.MULTILINE)
    )
    assert sorted(listed) == COMMANDS
    assert {"demo", "validate", "run", "members", "user"} <= set(COMMANDS)


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("words", [(), *(tuple(command.split()) for command in COMMANDS)], ids=" ".join)
def test_help_is_plain_text_with_nothing_cut_off(todoke, monkeypatch, words, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = todoke(*words, "--help").stdout.splitlines()
    assert lines
    assert [line for line in lines if line != line.rstrip() or "…" in line.replace("gs://…", "")] == []
    assert max(map(len, lines)) <= 80


def test_every_command_stands_under_a_heading_and_ends_with_examples(todoke):
    shown = todoke("--help").stdout
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Definitions:", "Jobs:", "Questions to a store:", "Service levels:", "Operations:"]
    for command in COMMANDS:
        examples = todoke(*command.split(), "--help").stdout.partition("\nExamples:\n")[2]
        assert examples.startswith(f"  todoke {command}"), command


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_of_flags_that_there_are(todoke, command):
    shown = todoke(*command.split(), "--help").stdout
    flags, _, examples = shown.partition("\nExamples:\n")
    known = flags if command != "launch" else flags + todoke("run", "--help").stdout  # which it passes on
    assert set(re.findall(r"--[\w-]+", examples)) <= set(re.findall(r"--[\w-]+", known))
    usage = " ".join(flags.partition("\n\n")[0].split())
    for needed in re.findall(r"--[\w-]+", usage):
        for example in re.split(r"\n  (?=todoke)", examples):
            assert needed in example


def test_a_short_flag_asks_for_help_too(todoke):
    for command in ("run", "user"):
        assert todoke(*command.split(), "-h").stdout == todoke(*command.split(), "--help").stdout
    assert todoke("-h").stdout == todoke("--help").stdout


def test_the_version_is_that_of_the_package_and_names_the_commit(todoke):
    done = todoke("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"todoke {version('todoke')} (commit {commit()})\n"


def test_without_a_command_it_says_what_there_is(todoke):
    assert "validate" in todoke().stdout + todoke().stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_on_standard_output(todoke, command):
    done = todoke(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: todoke {command}")
    assert "[OPTIONS]\n\n" in done.stdout


def test_the_flags_of_run_are_those_of_the_job(todoke):
    shown = todoke("run", "--help").stdout
    for flag in ("definitions", "events", "store", "as-of", "continue", "outbox", "push", "email", "report"):
        assert f"--{flag}" in shown
    assert "--dead-letters" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("validate",),
        ("validate", "a.yaml", "b.yaml"),
        ("validate", "a.yaml", "--jsn"),
        ("members", "buyers"),
        ("user", "--store", "sqlite:x.db"),
        ("demo", "--customers", "0"),
        ("run",),
        ("run", "--definitions"),
        ("run", "--restarts", "many"),
        ("backfill",),
        ("backfill", "--definitions", "d.yaml", "--store", "sqlite:u.db", "--write", "nothing"),
    ],
)
def test_wrong_use_ends_with_two_and_a_usage_line_on_standard_error(todoke, arguments):
    done = todoke(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    usage, tried, empty, error = done.stderr.splitlines()
    command = "" if arguments == ("frobnicate",) else f" {arguments[0]}"
    assert usage.startswith(f"Usage: todoke{command} ")
    assert usage.endswith("[OPTIONS]" if command else "COMMAND [ARGS]...")
    assert (tried, empty) == (f"Try 'todoke{command} --help' for help.", "")
    assert error.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_nothing_heavy_is_imported(store, finished):
    """Neither by what needs it not, nor by what is wrong already: a typo costs no import of Beam."""
    wrong = ["run", "--definitions", "DEFINITIONS", "--events", "EVENTS", "--store", "sqlite:x.db"]
    commands = [
        (0, ["--help"]),
        (0, ["run", "--help"]),
        (0, ["validate", "examples/shop.yaml"]),
        (0, ["validate", "examples/shop.yaml", "--json"]),
        (0, ["members", "buyers", "--store", "STORE"]),
        (0, ["user", "ann", "--store", "STORE", "--json"]),
        (0, ["explain", "ann", "buyers", "--store", "STORE", "--definitions", "DEFINITIONS"]),
        (2, [*wrong, "--no-such-flag"]),
        (2, [*wrong, "--as-of", "tomorrow"]),
        (2, [*wrong, "--restarts", "many"]),
        (2, ["run", "--definitions", "nowhere.yaml", *wrong[3:]]),
        (2, [*wrong[:3], "--events", "nowhere.jsonl", *wrong[5:]]),
        (2, ["backfill", *wrong[1:], "--as-of", "2026-01-01T00:00:00Z", "--no-such-flag"]),
    ]
    program = (
        "import json, sys\n"
        "from todoke.cli import main\n"
        "for expected, arguments in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['todoke', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        assert (ended.code or 0) == expected, (arguments, ended.code)\n"
        f"    found = set({HEAVY!r}.split()) & set(sys.modules)\n"
        "    assert not found, (arguments, sorted(found))\n"
    )
    files = {"DEFINITIONS": str(finished / "definitions.yaml"), "EVENTS": str(finished / "events.jsonl")}
    places = {"STORE": store, **files}
    given = [(code, [places.get(word, word) for word in words]) for code, words in commands]
    command = [sys.executable, "-c", program, json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
