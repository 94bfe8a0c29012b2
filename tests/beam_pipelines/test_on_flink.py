"""On a cluster of Flink, of separate processes: the same rows as in one process, also when a TaskManager is killed."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from core import DAY, START, compile_plain, decode_all, essence, run_bounded, texts_of
from test_external_workers import DEFINITIONS, history
from wheels import ROOT

from tools.flink import FLINK, Cluster
from transforms.storage.open import open_store
from transforms.users.user import User, decode_user

#: Each is a job, and a cluster takes half a minute to start; longer than anything here takes on a busy machine.
pytestmark = [pytest.mark.all_in_ci, pytest.mark.timeout(900)]
#: How long one job may take, in seconds.
PATIENCE = 400.0
JOB = Path(__file__).parent / "flink_job.py"
#: What users, sends and runs are in a store.
TABLES = ("users", "events", "identities", "members", "ledger", "inbox", "metrics", "control", "runs")
#: All deadlines of this history are over by then, and by the clock on the wall.
AS_OF = START + 60 * DAY
#: The events are in so many files, so that several workers read.
FILES = 6


def calls() -> list[dict[str, Any]]:
    """The history, and once more the newest call of a user: a repetition that is known as one in any order."""
    plain = list({call["messageId"]: call for call in history()}.values())
    ordered = [call for call in plain if call.get("event") == "Ordered"]
    return [*plain, max(ordered, key=lambda call: str(call["arrival"]))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With definitions, and files of events."""
    (tmp_path / "plain.yaml").write_text(texts_of(DEFINITIONS)[0][1], "utf-8")
    write_events(tmp_path / "events", range(FILES))
    return tmp_path


def write_events(folder: Path, which: Sequence[int]) -> None:
    """Some of the files; each appears whole."""
    folder.mkdir(exist_ok=True)
    for number in which:
        lines = [json.dumps(call) for call in calls()[number::FILES]] + ["not JSON"] * (number == 0)
        (folder / f"{number}.part").write_text("\n".join(lines) + "\n", "utf-8")
        (folder / f"{number}.part").rename(folder / f"{number}.jsonl")


def beside(cluster: Cluster, *words: object) -> subprocess.CompletedProcess[str]:
    """A program beside the cluster, to its end."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = cluster.command([sys.executable, *map(str, words)])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, (done.stderr[-2000:], cluster.log("job-server")[-2000:])
    return done


def todoke(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "todoke", *map(str, words)], cwd=ROOT, capture_output=True, check=True)


def rows(store: Path) -> dict[str, list[str]]:
    """All that a store holds, by table."""
    with sqlite3.connect(store) as connection:
        return {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in TABLES}


def pushes_in(outbox: Path) -> list[str]:
    """Lines of all files: each process has one of its own."""
    return sorted(line for file in outbox.glob("push*.jsonl") for line in file.read_text("utf-8").splitlines())


def report_of(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    del report["elapsed_s"]
    return report


def users_in(url: str) -> tuple[dict[str, User], dict[str, set[str]]]:
    """The users of a store, and the members of its segments."""
    store = open_store(url)
    users = {row.user: decode_user(row.state) for row in store.scan_users()}
    members = {name: {row.user for row in store.scan_members(name)} for name in DEFINITIONS["segments"]}
    store.close()
    return users, members


def expected() -> tuple[dict[str, User], dict[str, set[str]]]:
    compiled = compile_plain(DEFINITIONS)
    users, _ = run_bounded(decode_all(calls()), compiled, AS_OF)
    return users, {name: {key for key, user in users.items() if name in user.members} for name in compiled.segments}


def test_a_run_over_files_leaves_the_same_rows(flink: Cluster, folder: Path) -> None:
    plain = ("run", "--definitions", folder / "plain.yaml", "--events", folder / "events/*.jsonl")
    for name, runner in (("here", "--runner=FnApiRunner"), ("flink", f"--flink={FLINK}")):
        places = ("--store", f"sqlite:{folder / name}.db", "--outbox", folder / name)
        words = (*plain, *places, "--report", folder / f"{name}.json", runner)
        if name == "here":
            todoke(*words)
        else:
            beside(flink, "-m", "todoke", *words)
    found = rows(folder / "flink.db")
    assert found == rows(folder / "here.db")
    assert found["users"]
    assert found["ledger"]
    assert report_of(folder / "flink.json") == report_of(folder / "here.json")
    assert pushes_in(folder / "flink") == pushes_in(folder / "here")


def test_a_backfill_by_columns_on_two_task_managers_says_the_same(flink: Cluster, folder: Path) -> None:
    plain = ("backfill", "--write", "memberships", "--engine", "columns", "--definitions", folder / "plain.yaml")
    plain += ("--events", folder / "events/*.jsonl", "--as-of", "2026-05-30T00:00:00Z")
    for name in ("here", "flink"):
        words = (*plain, "--out", folder / name, "--report", folder / f"{name}.json")
        if name == "here":
            todoke(*words)
        else:
            beside(flink, "-m", "todoke", *words, f"--flink={FLINK}", "--parallelism", 2)
    here, there = (pl.read_parquet(folder / name / "*.parquet").sort(pl.all()) for name in ("here", "flink"))
    assert here.height > 0
    assert there.equals(here)
    assert report_of(folder / "flink.json") == report_of(folder / "here.json")


def test_an_audit_on_two_task_managers_says_the_same(flink: Cluster, folder: Path) -> None:
    """Of one user the archive was lost."""
    store, definitions = folder / "store.db", folder / "plain.yaml"
    todoke("run", "--definitions", definitions, "--events", folder / "events/*.jsonl", "--store", f"sqlite:{store}")
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM events WHERE user = 'u0'")
    plain = ("backfill", "--write", "audit", "--definitions", definitions, "--store", f"sqlite:{store}")
    plain += ("--as-of", "2026-05-30T00:00:00Z")
    todoke(*plain, "--report", folder / "here.json")
    beside(flink, "-m", "todoke", *plain, "--report", folder / "flink.json", f"--flink={FLINK}", "--parallelism", 2)
    here = report_of(folder / "here.json")
    assert report_of(folder / "flink.json") == here
    assert here["differ"] == 1
    assert {each["user"] for each in here["differences"]} == {"u0"}
    assert here["agree"] == here["users"] - 1


def test_the_unbounded_graph_over_files_ends_in_the_same_users_and_counts(flink: Cluster, folder: Path) -> None:
    url = f"sqlite:{folder / 'store.db'}"
    beside(flink, JOB, "ends", folder / "events/*.jsonl", folder / "plain.yaml", url, folder / "outbox")
    assert_users(url)
    store = open_store(url)
    counts: Counter[str] = Counter()
    for row in store.scan_metrics("accounts{"):
        counts[row.series] += row.count
    store.close()
    assert counts == {
        'accounts{outcome="applied"}': len(calls()) - 1,
        'accounts{outcome="duplicate"}': 1,
        'accounts{cause="not_json",outcome="dead_letter"}': 1,
    }


def test_a_task_manager_that_is_killed_changes_nobody(flink: Cluster, folder: Path) -> None:
    """Half of the files come before, half after: the job goes on from its checkpoint, on another TaskManager."""
    for number in range(FILES // 2, FILES):
        (folder / f"events/{number}.jsonl").unlink()
    url = f"sqlite:{folder / 'store.db'}"
    beside(flink, JOB, "lives", folder / "events/*.jsonl", folder / "plain.yaml", url, folder / "outbox")
    job = flink.running_job()
    wait_for(lambda: "members" in tables_of(folder / "store.db") and users_in(url)[0])
    flink.await_checkpoints(job)
    flink.kill(flink.task_managers()[0])
    write_events(folder / "events", range(FILES // 2, FILES))
    flink.start_task_manager()
    compiled, (users, _) = compile_plain(DEFINITIONS), expected()
    wait_for(lambda: essence(users_in(url)[0], compiled) == essence(users, compiled))
    assert flink.running_job() == job
    assert flink.restarts(job) > 0
    flink.await_checkpoints(job)
    flink.cancel(job)
    assert_users(url)


def tables_of(store: Path) -> set[str]:
    if not store.exists():
        return set()
    with sqlite3.connect(store) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def assert_users(url: str) -> None:
    compiled, (users, members) = compile_plain(DEFINITIONS), expected()
    found, found_members = users_in(url)
    assert essence(found, compiled) == essence(users, compiled)
    assert found_members == members


def wait_for(found: Any) -> None:
    give_up = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < give_up
        time.sleep(0.5)
