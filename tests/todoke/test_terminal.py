"""No text of others reaches a terminal as a command, whatever the command shows; programs get it whole, by escapes."""

import json
import logging
import unicodedata
from pathlib import Path

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from todoke.cli import app
from todoke.terminal import cause_of, json_text
from transforms.events.plain import plain, plain_lines, plain_records, quoted

#: A title of the window, red, C1, right to left, a half-hidden tag, a line that looks like another one.
EVIL = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202eevil\u2066\U000e0041\u200b\nfake"
YAML = '"' + "".join(f"\\U{ord(letter):08x}" for letter in EVIL) + '"'
DEFINITIONS = """\
segments:
  seen: {owner: a, members: {any: [{event: Seen}, {attribute: name, is: EVIL}]}}
campaigns:
  hello: {owner: a, trigger: {event: Seen}, reenter: never, consent: news, steps: [{send: hi}, {send: odd}]}
messages:
  hi: {channel: inbox, title: "{{ user.name }}", body: EVIL}
  odd: {channel: push, title: "EVIL {{ user.gone }}"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    evil = YAML
    text = DEFINITIONS.replace("name, is: EVIL", f"name, is: {evil}").replace("body: EVIL", f"body: {evil}")
    (tmp_path / "d.yaml").write_text(text.replace('"EVIL', evil[:-1]), encoding="utf-8")
    user = {"userId": EVIL, "timestamp": "2026-03-01T00:00:00Z"}
    token = {"device": {"token": EVIL}}
    calls = [
        {"type": "identify", "traits": {"name": EVIL, EVIL: EVIL}, "context": token, **user},
        {"type": "track", "event": "Seen", "properties": {EVIL: EVIL}, **user},
        {"type": EVIL, **user},
    ]
    lines = "\n".join(json.dumps({"messageId": f"{EVIL}{number}", **call}) for number, call in enumerate(calls))
    (tmp_path / "events.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def said(*argv: str) -> str:
    """All that a command prints."""
    result = CliRunner().invoke(app, argv)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout + result.stderr


def commands(text: str) -> set[str]:
    """The characters of a text that are none for people; our own styles are not there without a terminal."""
    odd = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return odd - {"\n", "\t"}


STORE = "--store=sqlite:u.db"
CASES = [
    ("inbox", EVIL, STORE),
    ("inbox", EVIL, STORE, "--expired"),
    ("user", EVIL, STORE),
    ("members", "seen", STORE),
    ("explain", EVIL, "seen", STORE, "--definitions=d.yaml"),
    ("preview", "seen", "--definitions=d.yaml", "--events=events.jsonl"),
    ("preview", "hello", "--definitions=d.yaml", "--events=events.jsonl"),
    ("flow", "seen", STORE),
]


def test_no_command_reaches_the_terminal_and_programs_get_all(folder: Path) -> None:
    ran = said("run", "--definitions=d.yaml", "--events=events.jsonl", STORE)
    assert "members" in ran
    assert commands(ran) == set()
    assert len((folder / "outbox" / "dead_letters.jsonl").read_text("utf-8").splitlines()) == 1
    for case in CASES:
        shown = said(*case)
        assert shown.strip() or case[0] == "flow", case
        assert commands(shown) == set(), case
        found = said(*case, "--json")
        assert commands(found) == set(), case
        assert [json.loads(line) for line in found.splitlines()] or case[0] == "flow"
    [letter] = said("inbox", EVIL, STORE).splitlines()
    assert "fake" in letter
    assert json.loads(said("inbox", EVIL, STORE, "--json"))["title"] == EVIL.strip()
    assert json.loads(said("members", "seen", STORE, "--json"))["user"] == EVIL
    assert json.loads(said("members", "seen", STORE)) == EVIL


@pytest.mark.usefixtures("folder")
def test_mistakes_show_no_commands(folder: Path) -> None:
    wrong = (folder / "d.yaml").read_text("utf-8").replace("trigger:", f"{YAML}: 1, trigger:")
    (folder / "wrong.yaml").write_text(wrong, encoding="utf-8")
    for argv in (("validate", "wrong.yaml"), ("validate", "wrong.yaml", "--json"), ("user", f"{EVIL}?", STORE)):
        shown = said(*argv)
        assert shown
        assert commands(shown) == set()


@given(st.text())
def test_what_is_plain_stays_and_nothing_else(text: str) -> None:
    shown = plain(text)
    assert len(shown) == len(text)
    assert plain(shown) == shown
    assert commands(shown) <= {"\u200c", "\u200d"}
    assert all(a in (b, "�") for a, b in zip(shown, text, strict=True))
    assert plain_lines(text).count("\n") == text.count("\n")


@pytest.mark.parametrize("text", ["届け　物", "naïve", "👨\u200d👩\u200d👧", "می\u200cخواهم", "a\u00a0b"])
def test_what_people_write_is_plain(text: str) -> None:
    assert plain(text) == text


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1))))
def test_json_says_the_same_by_escapes(value: dict[str, object]) -> None:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return
    assert json.loads(json_text(value)) == value
    assert commands(json_text(value)) <= {"\u200c", "\u200d"}


DATA = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(st.text(), each, max_size=3)),
)


@given(DATA)
def test_what_is_found_is_said_as_json(value: object) -> None:
    shown = quoted(value, most=1_000_000)
    assert json.loads(shown) == value
    assert commands(shown) <= {"\u200c", "\u200d"}
    assert "\n" not in shown


def test_of_long_values_the_beginning_is_said() -> None:
    assert quoted("abcdef", most=3) == '"abc…"'
    assert quoted([1, 2, 3, 4], most=5) == "[1, 2…"
    assert (quoted(True), quoted(None), quoted("a'b"), quoted({"a": [1.5]})) == (
        "true",
        "null",
        '"a\'b"',
        '{"a": [1.5]}',
    )


def test_logs_hold_no_commands(caplog: pytest.LogCaptureFixture) -> None:
    made = plain_records(logging.LogRecord)("a", logging.ERROR, "p", 1, "said %r of %s", (1, EVIL), None)
    assert commands(made.getMessage()) == set()
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        traced = (type(error), error, error.__traceback__)
    made = plain_records(logging.LogRecord)("a", logging.ERROR, "p", 1, "failed", (), traced)
    assert "Traceback" in logging.Formatter().format(made)
    assert commands(logging.Formatter().format(made)) == set()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_who_stops_a_command_in_a_step_of_beam_sees_no_failure(kind: type[BaseException]) -> None:
    def fail(_: int) -> int:
        raise kind

    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([1]) | "Fail" >> beam.Map(fail)
    with pytest.raises((RuntimeError, ValueError)) as failed:
        pipeline.run()
    if kind is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            cause_of(failed.value)
    else:
        assert "Fail" in cause_of(failed.value)
