"""`todoke members` over what a run left in a store."""

import json

import pytest

from transforms.storage.open import open_store
from transforms.storage.rows import MemberRow, RunRow, UserRow


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("buyers", ["ann", "b[old]", "bob", "cat"]),
        ("regulars", ["ann"]),
        ("recent", ["b[old]", "bob"]),  # nobody sent an event when ann left, seven days after her last order
        ("nobody", []),
    ],
)
def test_one_user_id_a_line_sorted(todoke, store, segment, expected):
    done = todoke("members", segment, "--store", store)
    assert (done.returncode, done.stderr, done.stdout.splitlines()) == (0, "", expected)


def test_anonymous_users_on_demand(todoke, store):
    shown = todoke("members", "buyers", "--store", store, "--anonymous").stdout.splitlines()
    assert shown == ["ann", "b[old]", "bob", "cat", "~device-2"]  # device-1 turned out to be ann's


def test_json_says_since_when(todoke, store):
    lines = todoke("members", "buyers", "--store", store, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines][1:3] == [
        {"user": "b[old]", "since": "2026-03-20T12:00:00Z"},
        {"user": "bob", "since": "2026-03-19T12:00:00Z"},
    ]


ODD = ["a\nb", "a\rb", "tab\there", "\x1b[2J", "a\x85b", "a\u2028b", '"a"', "\0"]
PLAIN = [" a", "a\\nb", "b 'x' \"y\"", "é", "届け", "\U0001f600"]


def test_an_id_that_would_break_its_line_is_a_json_string(todoke, tmp_path):
    """Everything else stands as it is; so each line is one user, and no two users are one line."""
    made = open_store(f"sqlite:{tmp_path / 'odd.db'}")
    made.write_members([MemberRow("buyers", user, 0, 1) for user in ODD + PLAIN])
    said = b'{"segments": {"buyers": "1970-01-01T00:00:00Z"}}'
    made.write_users([UserRow(user, 1, b"", said) for user in ODD + PLAIN])
    made.close()
    shown = todoke("members", "buyers", "--store", "sqlite:odd.db").stdout
    lines = shown.removesuffix("\n").split("\n")
    assert shown.splitlines() == lines
    assert [json.loads(line) if line.startswith('"') else line for line in lines] == sorted(ODD + PLAIN)
    assert set(PLAIN) < set(lines)


def test_an_unknown_segment_is_wrong_use_and_the_known_ones_are_named(todoke, store):
    done = todoke("members", "vip", "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no segment `vip`" in done.stderr
    assert "buyers, nobody, recent, regulars" in done.stderr


def test_a_store_of_no_kind_is_wrong_use(todoke):
    done = todoke("members", "buyers", "--store", "users.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert '--store: expected sqlite:PATH or bigtable:PROJECT/INSTANCE; found "users.db"' in done.stderr


def test_a_store_that_is_not_there_fails_and_is_not_made(todoke, tmp_path):
    done = todoke("members", "buyers", "--store", "sqlite:nothing.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no file nothing.db" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_did_not_finish_is_said(todoke, tmp_path):
    made = open_store(f"sqlite:{tmp_path / 'half.db'}")
    made.write_run(RunRow(0, "r", (), ("buyers",), finished=False))
    made.close()
    done = todoke("members", "buyers", "--store", "sqlite:half.db")
    assert (done.returncode, done.stdout) == (0, "")
    assert "the last run has not finished; run it again with --continue" in done.stderr
