"""`todoke backfill --write audit`: of a store that a run has filled, beside nothing else; a report and a metric."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from commands import COMMAND, Todoke, run_process

from todoke.prism import installed_prism
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.users.user import decode_user, encode_user, pack_members

FLAGS = ("--definitions", "definitions.yaml", "--store", "sqlite:store.db", "--write", "audit")
AS_OF = ("--as-of", "2026-03-25T00:00:00Z")


@pytest.fixture
def shop(tmp_path: Path, finished: Path) -> Path:
    (tmp_path / "definitions.yaml").write_bytes((finished / "definitions.yaml").read_bytes())
    for file in finished.glob("users.db*"):  # what SQLite has not yet put into the file lies beside it
        (tmp_path / file.name.replace("users", "store")).write_bytes(file.read_bytes())
    return tmp_path


def metrics(todoke: Todoke, name: str) -> dict[str, int]:
    shown = todoke("metrics", "--store", "sqlite:store.db", "--name", name, "--json")
    assert shown.returncode == 0, shown.stderr
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    return {row["labels"].get("outcome", ""): row["count"] for row in rows}


def plant(folder: Path, name: str, segment: str) -> None:
    store = open_store(f"sqlite:{folder / 'store.db'}")
    row = store.read_users([name])[name]
    user = decode_user(row.state)
    members = pack_members(user.members | {segment: user.clock})
    changed = msgspec.structs.replace(user, packed_members=members, version=user.version + 1)
    store.write_users([msgspec.structs.replace(row, state=encode_user(changed), version=row.version + 1)])
    store.close()


def test_a_run_agrees_with_its_archive_and_what_was_planted_is_told(shop: Path, todoke: Todoke) -> None:
    server = LocalFcm.start()
    try:
        for number in range(2):  # again in the same minute, or in the next
            done = todoke("backfill", *FLAGS, *AS_OF, "--report", f"{number}.json")
            assert done.returncode == 0, done.stderr
        assert server.requests == {}
    finally:
        server.stop()
    assert not (shop / "outbox").exists()
    report: dict[str, Any] = json.loads((shop / "1.json").read_bytes())
    assert (report["differ"], report["moving"], report["differences"], report["reasons"]) == (0, 0, [], {})
    assert report["agree"] == report["users"] > 3
    assert report["as_of"] == "2026-03-25T00:00:00Z"
    assert f"  agree: {report['agree']}" in done.stdout
    assert metrics(todoke, "audited")["agree"] == report["agree"]
    plant(shop, "cat", "nobody")
    done = todoke("backfill", *FLAGS, *AS_OF, "--report", "r.json")
    assert (done.returncode, "cat in nobody: is a member, and not by the archive; membership" in done.stdout) == (
        0,
        True,
    )
    report = json.loads((shop / "r.json").read_bytes())
    at = "2026-03-25T00:00:00Z"
    assert report["differences"] == [
        {"user": "cat", "segment": "nobody", "live": True, "at": at, "reason": "membership", "conditions": []}
    ]
    found = metrics(todoke, "audited")
    assert (found["differ"], found["moving"]) == (1, 0)
    [began] = metrics(todoke, "audited_at").values()
    shown = todoke("metrics", "--store", "sqlite:store.db", "--prometheus").stdout
    assert f"todoke_audited_at {began / 1_000_000:.6f}".rstrip("0") in shown
    assert 'todoke_audited_total{outcome="differ"}' in shown


@pytest.mark.all_in_ci
@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner", "PrismRunner"])
def test_every_runner_finds_the_same(shop: Path, todoke: Todoke, runner: str) -> None:
    if runner == "PrismRunner" and installed_prism() is None:
        pytest.skip("there is no Prism on this machine")
    plant(shop, "cat", "nobody")
    assert todoke("backfill", *FLAGS, *AS_OF, "--report", "here.json").returncode == 0
    # In a process of its own: Beam keeps a server of Prism for the life of one.
    done = run_process(shop, "backfill", *FLAGS, *AS_OF, "--report", "there.json", "--runner", runner)
    assert done.returncode == 0, done.stderr
    here, there = (json.loads((shop / name).read_bytes()) for name in ("here.json", "there.json"))
    assert here["differ"] == 1
    assert {**there, "elapsed_s": 0} == {**here, "elapsed_s": 0}
    assert metrics(todoke, "audited")["differ"] == 1


@pytest.mark.all_in_ci
@pytest.mark.parametrize("runner", [(), ("--runner=FnApiRunner",)])
def test_whoever_is_killed_is_made_good_by_the_same_command(shop: Path, runner: tuple[str, ...]) -> None:
    """Killed ever later, and the last time when the report is there already."""
    plant(shop, "cat", "nobody")
    before = rows(shop)
    flags = ("backfill", *FLAGS, *AS_OF, *runner, "--report")
    begun = time.monotonic()
    assert run_process(shop, *flags, "whole.json").returncode == 0
    whole = time.monotonic() - begun
    for share in (0.6, 0.8, 0.95, 1.0):
        with subprocess.Popen([COMMAND, *flags, "again.json"], cwd=shop, stdout=subprocess.DEVNULL) as running:
            end = time.monotonic() + share * whole
            while time.monotonic() < end and (share < 1.0 or not (shop / "again.json").exists()):
                time.sleep(0.005)
            running.kill()
        assert rows(shop) == before
    done = run_process(shop, *flags, "again.json")
    assert done.returncode == 0, done.stderr
    reports = [json.loads((shop / name).read_bytes()) | {"elapsed_s": 0} for name in ("whole.json", "again.json")]
    assert reports[0] == reports[1]
    assert reports[0]["differ"] == 1
    assert rows(shop) == before
    assert not (shop / "outbox").exists()


def rows(folder: Path) -> list[Any]:
    """All that an audit reads."""
    store = open_store(f"sqlite:{folder / 'store.db'}")
    found = [*store.scan_users(), *store.scan_ledger()]
    store.close()
    return found


def test_it_is_of_now_unless_a_time_is_named(shop: Path, todoke: Todoke) -> None:
    done = todoke("backfill", *FLAGS, "--report", "audit-*.json")
    assert (done.returncode, "differ: 0" in done.stdout) == (0, True), done.stdout + done.stderr
    [report] = shop.glob("audit-*.json")
    assert report.name == f"audit-{json.loads(report.read_bytes())['as_of']}.json"


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("--events", "x.jsonl", *AS_OF), "--events: an audit reads the archive of its store"),
        (("--engine", "rows"), "--engine: seeds of the store's archive and audits take none"),
        (("--out", "x"), "--out: --write memberships needs a folder"),
        (("--store", "sqlite:none.db"), "none.db"),
        (("--direct_num_workers=2",), "--direct_num_workers: only with --runner"),
    ],
)
def test_wrong_use(shop: Path, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    before = sorted(shop.iterdir())
    done = todoke("backfill", *FLAGS, *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr
    assert sorted(shop.iterdir()) == before
