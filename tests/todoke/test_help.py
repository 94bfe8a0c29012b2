"""Help comes at once, for every command, and without what the commands themselves need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from todoke.cli import app

ROOT = Path(__file__).parent.parent.parent
COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback)
HEAVY = "apache_beam firebase_admin google.cloud.bigtable google.cloud.pubsub aiohttp grpc mjml polars plotly pyarrow"


def test_help_names_every_command_with_what_it_does(todoke):
    done = todoke("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.findall(r"^  (\w+)  +(\S.*)$", done.stdout.partition("Commands")[2], re.MULTILINE))
    assert sorted(listed) == COMMANDS
    assert {"demo", "validate", "run", "members", "user"} <= set(COMMANDS)


def test_without_a_command_it_says_what_there_is(todoke):
    assert "validate" in todoke().stdout + todoke().stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_on_standard_output(todoke, command):
    done = todoke(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.lower().lstrip().startswith(f"usage: todoke {command}")


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
    ],
)
def test_wrong_use_ends_with_two_and_a_usage_line_on_standard_error(todoke, arguments):
    done = todoke(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage" in done.stderr.lower()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["validate", "examples/shop.yaml"],
        ["validate", "examples/shop.yaml", "--json"],
        ["members", "buyers", "--store", "STORE"],
        ["user", "ann", "--store", "STORE", "--json"],
        ["explain", "ann", "buyers", "--store", "STORE", "--definitions", "DEFINITIONS"],
    ],
)
def test_nothing_heavy_is_imported(arguments, store, finished):
    program = (
        "import sys\n"
        "from todoke.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        f"found = set({HEAVY!r}.split()) & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(found)}' if found else 0)\n"
    )
    places = {"STORE": store, "DEFINITIONS": str(finished / "definitions.yaml")}
    given = [places.get(argument, argument) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", program, *given], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
