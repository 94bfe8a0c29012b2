"""`todoke slo calc` answers counts of any system: a line for a line, exactly."""

import json
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND


def calc(folder: Path, *lines: object) -> subprocess.CompletedProcess[str]:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    command = [str(COMMAND), "slo", "calc"]
    return subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, timeout=120, check=False)


HALF = {"objective": "99.9", "window": "30d", "counts": {"3600": [0, 0], "2592000": [500, 1_000_000]}}


def test_each_line_has_an_answer(tmp_path: Path) -> None:
    done = calc(tmp_path, HALF, "", {**HALF, "objective": 99.9, "window": "28d"})
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == {
        "remaining": "1/2",
        "state": "healthy",
        "burn": {"3600": None, "2592000": "1/2"},
        "alerts": [
            {"kind": "page", "long": 3600, "factor": "72/5", "fires": False},
            {"kind": "page", "long": 21600, "factor": "6", "fires": False},
            {"kind": "ticket", "long": 86400, "factor": "3", "fires": False},
            {"kind": "ticket", "long": 259200, "factor": "1", "fires": False},
        ],
    }
    assert (second["state"], second["remaining"]) == ("no data", "1")
    assert [each["factor"] for each in second["alerts"]] == ["336/25", "28/5", "14/5", "14/15"]
    assert "no counts of 300, 1800, 7200, 21600, 86400, 259200 s" in done.stderr


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    done = calc(tmp_path, {**HALF, "window": "7d"}, {**HALF, "window": "7d"})
    assert [len(json.loads(line)["alerts"]) for line in done.stdout.splitlines()] == [2, 2]
    assert done.stderr.count("the ticket of 24 h is left out") == 1


def test_a_floor_of_events(tmp_path: Path) -> None:
    counts = {"300": [50, 50], "3600": [50, 50]}
    lines = ({**HALF, "counts": counts, "at_least": floor} for floor in (50, 51))
    answers = map(json.loads, calc(tmp_path, *lines).stdout.splitlines())
    assert [answer["alerts"][0]["fires"] for answer in answers] == [True, False]


D = 86_400
ALL = (300, 3600, 1800, 21600, 7200, D, 3 * D)
CLEAN = {**dict.fromkeys(ALL, (0, 100_000)), 28 * D: [0, 10**6], 30 * D: [0, 10**6]}
#: The objective, the window, counts, what is left, the state, and the alerts that fire.
CASES = [
    ("99.9", "30d", {30 * D: [500, 10**6]}, "1/2", "healthy", []),
    ("99.9", "30d", {30 * D: [501, 10**6]}, "499/1000", "act", []),
    ("99.5", "28d", {28 * D: [50, 10_000]}, "0", "exhausted", []),
    ("99.5", "7d", dict.fromkeys((*ALL, 7 * D), (0, 0)), "1", "no data", []),
    ("99", "30d", {**CLEAN, 300: [144, 1000], 3600: [144, 1000]}, "1", "healthy", []),
    ("99", "30d", {**CLEAN, 300: [145, 1000], 3600: [145, 1000]}, "1", "healthy", [("page", 3600)]),
    ("99.9", "28d", {**CLEAN, 300: [14, 1000], 3600: [14, 1000]}, "1", "healthy", [("page", 3600)]),
    ("99.9", "30d", {**CLEAN, 300: [14, 1000], 3600: [14, 1000]}, "1", "healthy", []),
    ("99.5", "30d", dict.fromkeys((*ALL, 30 * D), (20, 1000)), "-3", "exhausted", [("ticket", D), ("ticket", 3 * D)]),
    ("99.9", "30d", {**CLEAN, 3600: [1000, 1000], D: [1000, 1000]}, "1", "healthy", []),
    ("99.9", "30d", {30 * D: [10**18, 10**21]}, "0", "exhausted", []),
]


def test_the_cases_of_the_contract(tmp_path: Path) -> None:
    asked = [{"objective": objective, "window": window, "counts": counts} for objective, window, counts, *_ in CASES]
    done = calc(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    for case, answer in zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True):
        firing = [(each["kind"], each["long"]) for each in answer["alerts"] if each["fires"]]
        assert (answer["remaining"], answer["state"], firing) == case[3:], case


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("x", "JSON is malformed"),
        ("[]", "Expected `object`"),
        (
            {**HALF, "objective": "100"},
            "percent in (0, 100), since 100 leaves no budget; found 100",
        ),
        ({**HALF, "objective": "0"}, "objective: expected percent in (0, 100)"),
        ({**HALF, "objective": "most"}, "objective: expected percent, such as 99.9; found most"),
        ({**HALF, "objective": "1e-999999999"}, "objective: expected percent"),
        ({**HALF, "objective": [99]}, "objective: expected percent"),
        ({**HALF, "window": "14d"}, "window: expected one of 7d, 28d, 30d; found '14d'"),
        ({**HALF, "counts": {"3600": [2, 1]}}, "counts of 3600: 2 bad of 1 events cannot be"),
        ({**HALF, "counts": {"3600": [-1, 1]}}, "counts of 3600: -1 bad of 1 events cannot be"),
        ({**HALF, "counts": {"3600": [1]}}, "Expected `array` of length 2 - at `$.counts[...]`"),
        ({**HALF, "counts": {"3600": []}}, "Expected `array` of length 2"),
        ({**HALF, "counts": {"3600": [1, 2, 3]}}, "Expected `array` of length 2"),
        ({**HALF, "counts": {"3600": [1.5, 2]}}, "Expected `int`, got `float` - at `$.counts[...][0]`"),
        (
            {**HALF, "counts": {"03600": [1, 1]}},
            "counts: expected the seconds of a window, such as 3600; found '03600'",
        ),
        ({**HALF, "counts": {"-300": [1, 1]}}, "found '-300'"),
        ({**HALF, "window": 30}, "Expected `str`, got `int` - at `$.window`"),
        ({**HALF, "at_least": -1}, "at_least: expected a number from 0; found -1"),
        ({"objective": "99", "window": "7d"}, "Object missing required field `counts`"),
        ({**HALF, "counts": {"1h": [1, 1]}}, "counts: expected the seconds of a window, such as 3600; found '1h'"),
        ({**HALF, "count": {}}, "unknown field `count`"),
    ],
)
def test_a_line_that_is_no_question(tmp_path: Path, line: object, cause: str) -> None:
    done = calc(tmp_path, HALF, line, HALF)
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 2), "the others are answered"
    assert "standard input, line 2: " in done.stderr
    assert cause in done.stderr
