"""The same file twice: every message is a duplicate then, and the accounts add up."""

import json
from pathlib import Path

import pytest
from commands import Todoke

DEFINITIONS = "segments: {seen: {owner: a, members: {event: Seen}}}"
TWICE = "segments: {twice: {owner: a, members: {event: Seen, sum: {of: n, at_least: 2}}}}"
#: Longer apart than the users' duplicate horizon, so that the second run must ask the archive.
CALLS = (
    {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m1", "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "alias", "previousId": "ann", "userId": "bob", "messageId": "m2", "timestamp": "2026-01-10T00:00:00Z"},
    {"type": "alias", "previousId": "eve", "userId": "ann", "messageId": "m3", "timestamp": "2026-01-12T00:00:00Z"},
    {"type": "identify", "anonymousId": "v", "userId": "eve", "messageId": "m4", "timestamp": "2026-01-14T00:00:00Z"},
    {"type": "alias", "previousId": "v", "userId": "eve", "messageId": "m5", "timestamp": "2026-01-16T00:00:00Z"},
    {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m6", "timestamp": "2026-01-20T00:00:00Z"},
)


@pytest.mark.all_in_ci
def test_a_file_with_aliases_is_run_again_and_the_accounts_add_up(todoke: Todoke, tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(call)}\n" for call in CALLS), encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db", "--report", "r.json")
    reports = []
    for more in ((), ("--continue",), ("--continue",)):
        done = todoke("run", *flags, *more)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((tmp_path / "r.json").read_text(encoding="utf-8")))
    assert [(report["applied"], report["duplicates"]) for report in reports] == [(6, 0), (0, 6), (0, 6)]
    assert todoke("members", "seen", "--store", "sqlite:users.db", "--json").stdout.startswith('{"user":"bob"')


@pytest.mark.all_in_ci
def test_what_a_shared_visitor_did_stays_with_the_user_who_had_it_then(todoke: Todoke, tmp_path: Path) -> None:
    def call(type_: str, day: int, **said: object) -> str:
        return json.dumps({"type": type_, "messageId": f"m{day}", "timestamp": f"2026-01-{day:02}T00:00:00Z", **said})

    def seen(day: int) -> str:
        return call("track", day, event="Seen", anonymousId="tablet", properties={"n": 1})

    calls = [seen(1), call("identify", 3, userId="ann", anonymousId="tablet"), seen(5)]
    calls += [call("identify", 7, userId="bob", anonymousId="tablet"), seen(9)]
    (tmp_path / "d.yaml").write_text(TWICE, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text("\n".join(calls), encoding="utf-8")
    flags = ("--definitions", "d.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db", "--report", "r.json")
    for more, ends in (((), (5, 0)), (("--continue",), (0, 5)), (("--continue",), (0, 5))):
        done = todoke("run", *flags, *more)
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
        assert (report["applied"], report["duplicates"]) == ends
        members = todoke("members", "twice", "--store", "sqlite:users.db", "--json").stdout
        assert [json.loads(line)["user"] for line in members.splitlines()] == ["ann"]
