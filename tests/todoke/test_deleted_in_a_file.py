"""A user who is deleted in the file that says what they did: nothing goes out to them, and nothing of them is kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from todoke.cli import app
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store

DEFINITIONS = """\
campaigns:
  hello:
    owner: a
    trigger: {event: Seen}
    reenter: always
    consent: news
    steps: [{send: hi}, {send: note}]
messages:
  hi: {channel: push, title: Hi}
  note: {channel: inbox, title: Hi}
"""


def call(kind: str, user: str, minutes: int, **more: object) -> dict[str, object]:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return {"type": kind, "userId": user, "messageId": f"{kind}{user}{minutes}", "timestamp": at.isoformat(), **more}


@pytest.mark.parametrize("kept", [True, False])
def test_nothing_goes_out_to_a_user_deleted_later_in_the_file(tmp_path: Path, kept: bool) -> None:
    seen = {"event": "Seen", "context": {"device": {"token": "of-gone"}}}
    visit = call("track", "visitor", 12, **seen) | {"anonymousId": "visit", "userId": None}
    calls = [
        call("track", "gone", 10, **seen),
        call("track", "stays", 10, event="Seen", context={"device": {"token": "of-stays"}}),
        call("delete", "gone", 5),
        call("track", "back", 10, event="Seen", context={"device": {"token": "of-back-before"}}),
        call("delete", "back", 5),
        call("track", "back", 3, event="Seen", context={"device": {"token": "of-back"}}),
        visit,
        call("identify", "late", 11, anonymousId="visit"),
        call("delete", "late", 4),
    ]
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(each) + "\n" for each in calls))
    server = LocalFcm.start()
    url = f"sqlite:{tmp_path / 's.db'}" if kept else "none"
    flags = [f"--definitions={tmp_path}/d.yaml", f"--events={tmp_path}/e.jsonl", f"--store={url}"]
    flags += [f"--push=fcm:demo-project@{server.url}", f"--outbox={tmp_path}/out", f"--report={tmp_path}/r.json"]
    try:
        ran = CliRunner().invoke(app, ["run", *flags])
    finally:
        server.stop()
    assert ran.exit_code == 0, ran.output
    reached = sorted(message["token"] for message in server.received)
    report = json.loads((tmp_path / "r.json").read_text())
    if kept:
        assert reached == ["of-back", "of-stays"]
        assert report["suppressed"]["deleted"] == 5
        store = open_store(url)
        assert [store.read_inbox(user) + store.read_ledger(user) for user in ("gone", "late", "~visit")] == [[], [], []]
        assert len(store.read_inbox("back")) == len(store.read_inbox("stays")) == 1
        store.close()
    else:  # what an id did that was merged before is decided apart, and there is no store to look it up in
        assert {"of-back", "of-stays"} <= set(reached) <= {"of-back", "of-stays", "of-gone"}
        assert "of-back-before" not in reached
