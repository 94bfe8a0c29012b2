"""`todoke backfill --write memberships`: the members that a run has, as Parquet, on any runner, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import COMMAND, Todoke, run_process

from todoke.prism import installed_prism
from transforms.channels.push.local_fcm import LocalFcm

AS_OF = "2026-03-25T00:00:00Z"
DEFINITIONS = """\
segments:
  buyers: {owner: crm, members: {event: Order Completed, count: {at_least: 2}, within: 14d}}
  pros: {owner: crm, members: {attribute: plan, is: pro}}
  lost: {owner: crm, members: {event: Product Added, within: 7d, missing: {event: Order Completed, within: 1d}}}
  spent: {owner: crm, members: {event: Order Completed, sum: {of: total, at_least: 200}}}
  known: {owner: crm, members: {all: [{identified: true}, {not: {segment: buyers}}]}}
  nobody: {owner: crm, members: {event: Never}}
messages: {thanks: {channel: push, title: Thank you}}
campaigns:
  greet: {owner: crm, trigger: {enters: buyers}, steps: [{send: thanks}], consent: offers}
  sale:
    owner: crm
    trigger: {announcement: Sale Began}
    audience: {segment: pros}
    steps: [{send: thanks}]
    consent: offers
"""


def calls(many: int = 600) -> list[dict[str, Any]]:
    """Users and visitors, some of them identified, merged or deleted; some calls twice, some late."""
    found: list[dict[str, Any]] = []
    for number in range(many):
        who, day, hour = number * 7 % 40, 1 + number * 11 % 27, number % 24
        call: dict[str, Any] = {"messageId": f"m{number}", "timestamp": f"2026-03-{day:02}T{hour:02}:00:00Z"}
        call |= {"userId": f"u{who}"} if number % 3 else {"anonymousId": f"v{who}"}
        if number % 10 == 0:
            device = {"device": {"type": "ios", "token": f"token-{who}"}}
            ids = {"userId": f"u{who}", "anonymousId": f"v{who}"}
            call |= {"type": "identify", "traits": {"plan": ("pro", "free")[number % 4 // 2]}, "context": device} | ids
        else:
            call |= {"type": "track", "event": ("Order Completed", "Product Added")[number % 2]}
            call["properties"] = {"total": number % 50}
        found.append(call)
        if number % 25 == 0:
            found.append(call | {"arrival": "2026-03-28T00:00:00Z"})
    time = "2026-03-20T00:00:00Z"
    for number in range(0, 12, 3):
        ids = {"userId": f"u{number}", "previousId": f"u{number + 1}"}
        found.append({"type": "alias", "messageId": f"a{number}", "timestamp": time, **ids})
    found += [
        {"type": "track", "messageId": f"s{number}", "timestamp": time, "event": "Sale Began"} for number in (1, 1, 2)
    ]
    found.append(found[-1] | {"messageId": "late", "timestamp": "2026-03-26T00:00:00Z"})
    return [*found, {"type": "delete", "messageId": "d", "timestamp": time, "userId": "u30"}]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    lines = "".join(f"{json.dumps(call)}\n" for call in calls())
    (tmp_path / "calls.jsonl").write_text(f"{lines}no JSON\n", encoding="utf-8")
    return tmp_path


FLAGS = ("--definitions", "d.yaml", "--as-of", AS_OF, "--write", "memberships")


def members(folder: Path) -> pl.DataFrame:
    names = json.loads((folder / "manifest.json").read_bytes())["files"]
    assert {file.name for file in folder.iterdir()} == {*names, "manifest.json"}
    return pl.concat([pl.read_parquet(folder / name, glob=False) for name in names]).sort("segment", "user")


def of_run(shop: Path, todoke: Todoke) -> dict[str, dict[str, str]]:
    """Segments, users and since when, as `todoke members` says it after a run."""
    run = todoke("run", *FLAGS[:4], "--events", "calls.jsonl", "--store", "sqlite:run.db", "--report", "run.json")
    assert run.returncode == 0, run.stderr
    found = {}
    for segment in json.loads((shop / "run.json").read_bytes())["segments"]:
        listed = todoke("members", segment, "--store", "sqlite:run.db", "--anonymous", "--json")
        found[segment] = {each["user"]: each["since"] for each in map(json.loads, listed.stdout.splitlines())}
    return found


def test_members_are_those_of_a_run_by_columns_and_by_rows(shop: Path, todoke: Todoke) -> None:
    expected = of_run(shop, todoke)
    assert all(expected[name] for name in expected if name != "nobody")
    pairs = sorted((segment, user) for segment, users in expected.items() for user in users)
    for engine in ("columns", "rows"):
        flags = ("--events", "calls.jsonl", "--out", engine, "--engine", engine, "--report", f"{engine}.json")
        done = todoke("backfill", *FLAGS, *flags)
        assert done.returncode == 0, done.stderr
        found = members(shop / engine)
        assert found.select("segment", "user").rows() == pairs
        report, run = (json.loads((shop / f"{name}.json").read_bytes()) for name in (engine, "run"))
        for key in ("read", "applied", "duplicates", "deleted", "dead_letters", "later"):
            assert report[key] == run[key], key
        assert report["segments"] == {name: len(users) for name, users in sorted(expected.items())}
        assert (report["engine"], report["as_of"], report["members"]) == (engine, AS_OF, len(pairs))
        assert f"{len(pairs)} memberships of" in done.stdout
        assert f"{report['read']} messages read: {report['applied']} applied" in done.stdout
        assert ", 1 dead letter" in done.stdout
    since = {(row[0], row[1]): row[2].isoformat() for row in found.iter_rows()}
    assert {at.replace("+00:00", "Z") for at in since.values()} == {
        at for users in expected.values() for at in users.values()
    }
    assert members(shop / "columns")["since"].null_count() == len(pairs)


def test_what_is_read_may_be_parquet_by_a_pattern(shop: Path, todoke: Todoke) -> None:
    names = ("properties", "traits", "context")
    rows = [call | {name: json.dumps(call[name]) for name in names if name in call} for call in calls()]
    columns = sorted({name for row in rows for name in row})
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    (shop / "in").mkdir()
    for number in range(3):
        pq.write_table(table.slice(number * 250, 250), shop / "in" / f"{number}.parquet")
    for events, out in (("calls.jsonl", "a"), ("in/*.parquet", "b")):
        assert todoke("backfill", *FLAGS, "--events", events, "--out", out).returncode == 0
    assert members(shop / "a").equals(members(shop / "b"))


@pytest.mark.all_in_ci
def test_folders_may_be_called_as_patterns_are(shop: Path, monkeypatch: pytest.MonkeyPatch, todoke: Todoke) -> None:
    (shop / "t [a]*?").mkdir()
    monkeypatch.setenv("TMPDIR", str(shop / "t [a]*?"))
    (shop / "calls [1].jsonl").write_bytes((shop / "calls.jsonl").read_bytes())
    for _ in range(2):
        (shop / "o [1]" / "unfinished").mkdir(parents=True, exist_ok=True)
        (shop / "o [1]" / "memberships-99999.parquet").write_bytes(b"of an older one with more parts")
        done = run_process(shop, "backfill", *FLAGS, "--events", "calls [1].jsonl", "--out", "o [1]")
        assert done.returncode == 0, done.stderr
    assert members(shop / "o [1]").height > 0


@pytest.mark.all_in_ci
@pytest.mark.parametrize("engine", ["columns", "rows"])
def test_the_archive_of_a_store_is_as_good_as_files(shop: Path, todoke: Todoke, engine: str) -> None:
    expected = of_run(shop, todoke)
    flags = ("--store", "sqlite:run.db", "--out", "out", "--engine", engine)
    done = todoke("backfill", *FLAGS, *flags)
    assert done.returncode == 0, done.stderr
    pairs = sorted((segment, user) for segment, users in expected.items() for user in users)
    assert members(shop / "out").select("segment", "user").rows() == pairs


@pytest.mark.all_in_ci
@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner"])
def test_every_runner_writes_the_same_bytes(shop: Path, runner: str) -> None:
    """In processes of their own: Beam keeps a server of Prism for the life of one."""
    if runner == "PrismRunner" and installed_prism() is None:
        pytest.skip("there is no Prism on this machine")
    for out, flags in (("a", ("--runner=FnApiRunner",)), ("b", ("--runner", runner))):
        done = run_process(shop, "backfill", *FLAGS, "--events", "calls.jsonl", "--out", out, *flags)
        assert done.returncode == 0, done.stderr
    assert {file.name: file.read_bytes() for file in (shop / "a").iterdir()} == {
        file.name: file.read_bytes() for file in (shop / "b").iterdir()
    }


@pytest.mark.all_in_ci
@pytest.mark.parametrize("runner", [(), ("--runner=FnApiRunner",)])
def test_whoever_is_killed_is_made_good_by_the_same_command_and_nothing_is_sent(
    shop: Path, todoke: Todoke, runner: tuple[str, ...]
) -> None:
    flags = (*FLAGS, *runner, "--events", "calls.jsonl", "--out")
    assert todoke("backfill", *flags, "whole").returncode == 0
    older = (*FLAGS[:3], "2026-03-02T00:00:00Z", *FLAGS[4:], "--events", "calls.jsonl", "--out", "out")
    assert todoke("backfill", *older).returncode == 0
    server = LocalFcm.start()
    try:
        for pause in (1.5, 2.5, 3.5):
            running = subprocess.Popen([str(COMMAND), "backfill", *flags, "out"], cwd=shop, stdout=subprocess.DEVNULL)
            time.sleep(pause)
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
        (shop / "out" / "unfinished").mkdir(exist_ok=True)
        (shop / "out" / "unfinished" / "00000.parquet.x").write_bytes(b"of somebody who died")
        (shop / "out" / "memberships-99999.parquet").write_bytes(b"of an older one with more parts")
        assert todoke("backfill", *flags, "out").returncode == 0
        assert server.requests == {}
    finally:
        server.stop()
    assert members(shop / "out").equals(members(shop / "whole"))
    assert not (shop / "outbox").exists()


@pytest.mark.parametrize("runner", [(), ("--runner=FnApiRunner",)])
def test_a_full_temporary_folder_is_named(shop: Path, runner: tuple[str, ...]) -> None:
    command = [str(COMMAND), "backfill", *FLAGS, *runner, "--events", "calls.jsonl", "--out", "out"]
    limited = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)); os.execv(*sys.argv[1:2], "
    )
    words = [sys.executable, "-c", f"{limited}sys.argv[1:])", *command]
    done = subprocess.run(words, cwd=shop, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "make room there, or name another folder in TMPDIR" in done.stderr
    assert not (shop / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        ((*FLAGS, "--events", "calls.jsonl"), "--out: --write memberships needs a folder"),
        ((*FLAGS, "--out", "out"), "--store: name the store"),
        ((*FLAGS, "--events", "calls.jsonl", "--out", "out", "--activation", AS_OF), "are for --write seeds"),
        ((*FLAGS, "--events", "calls.jsonl", "--out", "d.yaml"), "--out: d.yaml is a file: name a folder"),
        ((*FLAGS, "--events", "calls.jsonl", "--out", "gs://b/o[1]"), "--out: gs://b/o[1] has a sign of a pattern"),
        ((*FLAGS, "--events", f"{'x' * 300}*.jsonl", "--out", "out"), "--events: there is no file ./xxx"),
        ((*FLAGS, "--events", "none.jsonl", "--out", "out"), "--events: there is no file none.jsonl"),
        ((*FLAGS, "--events", "calls.jsonl", "--out", "out", "--runner", "DataflowRunner"), "takes no --runner of"),
        (
            (*FLAGS, "--events", "calls.jsonl", "--out", "out", "--direct_num_workers=2"),
            "--direct_num_workers: only with --runner",
        ),
        ((*FLAGS[:4], "--events", "calls.jsonl"), "--store: name the store"),
        ((*FLAGS[:4], "--events", "calls.jsonl", "--store", "sqlite:x.db", "--out", "out"), "--out: --write member"),
    ],
)
def test_wrong_use(shop: Path, todoke: Todoke, flags: tuple[str, ...], cause: str) -> None:
    before = sorted(shop.iterdir())
    done = todoke("backfill", *flags)
    assert (done.returncode, done.stdout, cause in done.stderr) == (2, "", True), done.stderr
    assert sorted(shop.iterdir()) == before


def test_what_has_no_columnar_form_goes_by_rows(shop: Path, todoke: Todoke) -> None:
    ended = "segments: {ended: {owner: crm, members: {event: Session Ended}}}\n"
    (shop / "d.yaml").write_text(ended, encoding="utf-8")
    flags = ("--events", "calls.jsonl", "--out", "out")
    done = todoke("backfill", *FLAGS, *flags, "--engine", "columns")
    assert (done.returncode, "`event: Session Ended` in ended has no columnar form" in done.stderr) == (2, True)
    done = todoke("backfill", *FLAGS, *flags)
    assert (done.returncode, ", by rows, " in done.stdout) == (0, True), done.stderr
