"""`todoke inbox`: what a run put into a user's inbox, as an app would show it."""

import json
from pathlib import Path
from typing import Any

import pytest

DEFINITIONS = """\
segments: {known: {owner: o, members: {identified: true}}}
messages:
  gift: {channel: inbox, title: "A gift for {{ user.id }}", body: "line\\nline", data: {n: 5, to: ["{{ user.id }}"]}}
  brief: {channel: inbox, body: "{{ event.kind }}", expires: 1h}
  long: {channel: inbox, title: Long, deep_link: "game://x", expires: 500w}
campaigns:
  win:
    owner: o
    trigger: {event: Won}
    steps: [{send: gift}, {send: brief}, {send: long}]
    consent: n
    reenter: always
"""
CALLS = [
    {"type": "track", "event": "Won", "messageId": "m1", "userId": "ada", "properties": {"kind": "gems"}},
    {"type": "track", "event": "Won", "messageId": "m2", "userId": "old", "properties": {"kind": "gems"}},
    {"type": "track", "event": "Won", "messageId": "m3", "anonymousId": "a", "properties": {"kind": "gems"}},
    {"type": "alias", "messageId": "m4", "userId": "ada", "previousId": "old"},
]


@pytest.fixture
def store(todoke: Any, tmp_path: Path) -> str:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    lines = [{**call, "timestamp": f"2026-03-27T0{hour}:00:00Z"} for hour, call in enumerate(CALLS)]
    (tmp_path / "e.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    done = todoke("run", "--definitions", "d.yaml", "--events", "e.jsonl", "--store", "sqlite:s.db")
    assert done.returncode == 0, done.stderr
    return "sqlite:s.db"


def shown(todoke: Any, *words: str) -> list[dict[str, Any]]:
    done = todoke("inbox", *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_has_not_expired_newest_first_with_that_of_merged_users(todoke: Any, store: str) -> None:
    rows = shown(todoke, "ada", "--store", store)
    assert [row["at"][11:13] for row in rows] == ["01", "01", "00", "00"]
    assert sorted(row["title"] for row in rows[:2]) == ["A gift for old", "Long"]
    assert sorted(row["title"] for row in rows[2:]) == ["A gift for ada", "Long"]
    [gift] = [row for row in rows if row["title"] == "A gift for ada"]
    assert gift["data"] == {"n": 5, "to": ["ada"]}
    assert "expires" not in gift
    assert {row["deep_link"] for row in rows if row["title"] == "Long"} == {"game://x"}
    assert shown(todoke, "old", "--store", store) == rows


def test_what_has_expired_is_shown_when_asked_for(todoke: Any, store: str) -> None:
    rows = shown(todoke, "ada", "--store", store, "--expired")
    assert len(rows) == 6
    assert [row["expires"] for row in rows if row["body"] == "gems"] == ["2026-03-27T02:00:00Z", "2026-03-27T01:00:00Z"]


def test_for_people(todoke: Any, store: str) -> None:
    done = todoke("inbox", "ada", "--store", store)
    assert done.returncode == 0
    assert "2026-03-27T00:00:00Z  A gift for ada line line  (win)" in done.stdout.splitlines()


def test_a_visitor_has_no_inbox(todoke: Any, store: str) -> None:
    assert shown(todoke, "~a", "--store", store, "--expired") == []


def test_an_unknown_user_and_a_store_of_no_kind(todoke: Any, store: str) -> None:
    unknown = todoke("inbox", "nobody", "--store", store)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert 'the store knows no user "nobody"' in unknown.stderr
    assert todoke("inbox", "ada", "--store", "s.db").returncode == 2
