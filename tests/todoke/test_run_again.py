"""The same file twice: every message is a duplicate then, and the accounts add up."""

import json
from pathlib import Path

from conftest import Todoke

DEFINITIONS = "segments: {seen: {owner: a, members: {event: Seen}}}"
#: Longer apart than the users' duplicate horizon, so that the second run must ask the archive.
CALLS = (
    {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m1", "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "alias", "previousId": "ann", "userId": "bob", "messageId": "m2", "timestamp": "2026-01-10T00:00:00Z"},
    {"type": "alias", "previousId": "eve", "userId": "ann", "messageId": "m3", "timestamp": "2026-01-12T00:00:00Z"},
    {"type": "identify", "anonymousId": "v", "userId": "eve", "messageId": "m4", "timestamp": "2026-01-14T00:00:00Z"},
    {"type": "alias", "previousId": "v", "userId": "eve", "messageId": "m5", "timestamp": "2026-01-16T00:00:00Z"},
    {"type": "track", "event": "Seen", "userId": "ann", "messageId": "m6", "timestamp": "2026-01-20T00:00:00Z"},
)


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
