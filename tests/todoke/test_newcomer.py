"""What somebody meets who uses the command line for the first time, on whatever machine: plain lines, 2 for a slip."""

import io
import json
import os
import re
import subprocess

import pytest
from commands import COMMAND

from todoke.terminal import json_text
from transforms.events.plain import escape_unwritable


@pytest.fixture
def slip(finished, todoke, tmp_path):
    """Run a command, wrong in one place, in an empty folder beside that of a finished run."""
    places = {
        "STORE": f"sqlite:{finished / 'users.db'}",
        "DEFINITIONS": finished / "definitions.yaml",
        "EVENTS": finished / "events.jsonl",
        "FOLDER": tmp_path,
    }

    def slip(words):
        return todoke(*(places.get(word, word) for word in words.split()))

    return slip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("user ann --store", "Error: Option '--store' requires an argument."),
        ("user ann --stor STORE", "Error: No such option: --stor (Possible options: --json, --store)"),
        ("usr ann", "Error: No such command 'usr'. Did you mean 'user'?"),
        ("user \udcff --store STORE", 'Error: "\\udcff" is not UTF-8: name a UTF-8 locale, such as LC_ALL=C.UTF-8'),
        ("user ann --store users", 'todoke: --store: expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found "users"'),
        ("user ann --store sqlite:nowhere.db", "todoke: there is no file nowhere.db"),
        ("members buyer --store STORE", "todoke: the last run knew no segment `buyer`; did you mean `buyers`?"),
        ("explain ann buyer --store STORE --definitions DEFINITIONS", "no segment `buyer`; did you mean `buyers`?"),
        ("validate DEFINITIONS --events FOLDER", " is a folder: name its files, such as "),
        ("validate DEFINITIONS --events DEFINITIONS", " holds no event that could be read"),
        ("validate nowhere.yaml", "todoke: nowhere.yaml: there is no such file or folder"),
        ("preview buyers --definitions DEFINITIONS --events nowhere", "todoke: --events: there is no file nowhere"),
        ("export --store STORE --events FOLDER", " is a folder: name a file"),
        ("demo --out DEFINITIONS", " is a file: name a folder"),
        ("diff DEFINITIONS nowhere.yaml", "todoke: nowhere.yaml: there is no such file or folder"),
        ("publish DEFINITIONS --to pointer", 'todoke: --to: a pointer is a file that ends in .json; found "pointer"'),
        (
            "sweep --store STORE --definitions DEFINITIONS --older-than soon",
            '2h, 7d or 4w; found "soon"',
        ),
        ("wake --store STORE --rate 0", "Error: Invalid value for '--rate': "),
        ("run --definitions DEFINITIONS", "Error: the following arguments are required: --events, --store"),
    ],
)
def test_a_slip_is_said_in_plain_words_and_ends_with_two(slip, words, said):
    done = slip(words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr


def test_a_mistake_in_yaml_is_said_without_pythons_tuples(slip):
    done = slip("validate EVENTS")
    assert done.returncode == 2
    assert "not YAML: expected '<document start>', but found '{'" in done.stderr


@pytest.mark.parametrize(
    "words", ["user ann --store STORE", "preview buyers --definitions DEFINITIONS --events EVENTS"]
)
@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_is_cut_in_a_narrow_window(slip, monkeypatch, words, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = slip(words)
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        assert line == line.rstrip()
        assert "…" not in line


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}])
def test_colours_are_left_out_where_that_is_asked_for(slip, monkeypatch, variable):
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    shown = slip("explain ann buyers --store STORE --definitions DEFINITIONS").stdout
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown)


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", "schema"])
def test_help_whose_output_nobody_reads_ends_quietly(words):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [str(COMMAND), *words.split()], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_output_has_no_letter_for_is_written_by_escapes(encoding):
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding=encoding)
    escape_unwritable(output)
    value = {"name": "Änn 届 👋…"}
    output.write(json_text(value))
    output.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == value


def test_a_store_is_read_where_the_output_is_ascii(finished):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [str(COMMAND), "preview", "buyers", "--definitions", "definitions.yaml", "--events", "events.jsonl"]
    done = subprocess.run(command, cwd=finished, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"####" in done.stdout
    assert b"\\u" not in done.stdout
