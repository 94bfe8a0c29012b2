"""`todoke validate`: exit codes, what goes to which stream, and JSON for programs."""

import json
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples").glob("*.yaml"))
WRONG = "segments:\n  a: {members: {event: A}}\n  b: {owner: o, members: {evnt: B}}\n"
SURPRISING = "segments:\n  a: {owner: o, members: {not: {event: A}}}\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid_and_surprise_nobody(todoke, path):
    done = todoke("validate", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: ")


def test_there_are_examples_of_three_businesses():
    assert [path.stem for path in EXAMPLES] == ["game", "news", "shop"]


def test_mistakes_go_to_standard_error_with_their_places(todoke, tmp_path):
    (tmp_path / "d.yaml").write_text(WRONG, encoding="utf-8")
    done = todoke("validate", "d.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    first, second, last = done.stderr.splitlines()
    assert first == "d.yaml:2: error: segments.a: `owner` is missing"
    assert second.startswith("d.yaml:3: error: segments.b.members: expected one of all, any, not,")
    assert last == "2 mistakes"


def test_warnings_are_shown_and_do_not_fail(todoke, tmp_path):
    (tmp_path / "d.yaml").write_text(SURPRISING, encoding="utf-8")
    done = todoke("validate", "d.yaml")
    assert done.returncode == 0
    assert done.stderr.startswith("d.yaml:2: warning: segments.a.members: holds also for users who were never seen")
    assert done.stdout.startswith("d.yaml: 1 segment, 0 campaigns, 0 messages; revision ")


@pytest.mark.parametrize(("text", "code"), [(WRONG, 2), (SURPRISING, 0)])
def test_json_goes_to_standard_output_whatever_it_says(todoke, tmp_path, text, code):
    (tmp_path / "d.yaml").write_text(text, encoding="utf-8")
    done = todoke("validate", "d.yaml", "--json")
    assert (done.returncode, done.stderr) == (code, "")
    answer = json.loads(done.stdout)
    assert answer["valid"] is (code == 0)
    assert [
        (problem["file"], problem["line"], problem["path"], problem["warning"]) for problem in answer["problems"]
    ] == (
        [("d.yaml", 2, "segments.a", False), ("d.yaml", 3, "segments.b.members", False)]
        if code
        else [("d.yaml", 2, "segments.a.members", True)]
    )
    assert all(problem["cause"] for problem in answer["problems"])


def test_a_folder_is_read_whole(todoke, tmp_path):
    (tmp_path / "all" / "inner").mkdir(parents=True)
    (tmp_path / "all" / "one.yaml").write_text("segments: {a: {owner: o, members: {segment: b}}}", encoding="utf-8")
    (tmp_path / "all" / "inner" / "two.yml").write_text(
        "segments: {b: {owner: o, members: {event: B}}}", encoding="utf-8"
    )
    (tmp_path / "all" / "notes.txt").write_text("segments: 5", encoding="utf-8")
    done = todoke("validate", "all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("all: 2 segments")


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_what_cannot_be_read_is_a_mistake_too(todoke, json_flag):
    done = todoke("validate", "nowhere.yaml", *json_flag)
    assert done.returncode == 2
    assert "there is no such file or folder" in (done.stdout if json_flag else done.stderr)
    assert "Traceback" not in done.stderr


def test_what_is_hidden_in_a_folder_is_no_definition(todoke, tmp_path):
    good = "segments: {buyers: {owner: crm, members: {event: Order Completed}}}"
    folder = tmp_path / ".here" / "shop"
    for name in ("a.yaml", ".#a.yaml", ".git/a.yaml", "below/.venv/lib/b.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(good if name == "a.yaml" else "not: [definitions")
    for place in (folder, ".here/shop"):
        done = todoke("validate", place)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 segment," in done.stdout
