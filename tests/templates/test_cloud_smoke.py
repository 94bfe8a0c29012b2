"""The smoke test of the cloud: every step is printed, and what needs no cloud is tried."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pytest
from bigquery_api import serve_bigquery
from emulators import Instance
from google.api_core.exceptions import PermissionDenied

from tools.cloud_smoke import Failed, Smoke, Step, go, steps
from tools.smoke_bigquery import Warehouse
from tools.smoke_calls import BROKEN, DEFINITIONS, calls, differences, fold_here, write_calls
from transforms.storage.open import open_store
from transforms.storage.rows import MemberRow

ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def test_a_dry_run_prints_every_step_and_does_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.cloud_smoke", "--project", "my-project", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    titles = [line.partition(". ")[2] for line in lines if line[:1].isdigit()]
    for title in ("Make all but the job", "Build the image and push it", "Publish the definitions", "Update the job"):
        assert title in titles
    order = ["Launch the job, and wait until it runs", "Send 500 calls", "Update the job", "Drain the job"]
    assert [title for title in titles if title in order][:1] == order[:1]
    assert sorted(order, key=titles.index) == order
    assert titles[-1] == "Remove everything"
    assert titles.index("Load the calls into BigQuery") < titles.index("Read the table, and a query of it")
    assert "bq --project_id=my-project rm --recursive --force --dataset smoke_" in done.stdout
    shown = "\n".join(lines)
    assert "terraform -chdir=" in shown
    assert "make image" in shown
    assert "job={run=false}" in shown
    assert "deletion_protection=false" in shown


def test_without_a_project_it_says_so() -> None:
    command = [sys.executable, "-m", "tools.cloud_smoke", "--project", ""]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "PROJECT=" in done.stderr


def test_an_image_that_is_named_is_not_built(tmp_path: Path) -> None:
    smoke = Smoke("my-project", "europe-west1", "smoke-1", tmp_path, image="image@sha256:1", count=1_000)
    assert "Build the image and push it" not in [step.title for step in steps(smoke)]
    assert any("-var=image=image@sha256:1" in step.shown[0] for step in steps(smoke))


def test_a_site_that_somebody_keeps_there_is_left_out(tmp_path: Path) -> None:
    """Neither its values nor its state are in the copy that the test applies."""
    smoke = Smoke("my-project", "europe-west1", "smoke-1", tmp_path, image="", count=1_000)
    smoke.copy_module()
    copied = {path.relative_to(smoke.module).as_posix() for path in smoke.module.rglob("*") if path.is_file()}
    assert "dataflow.tf" in copied
    assert "generated/bigtable.json" in copied
    assert not [name for name in copied if "tfvars" in name or "tfstate" in name]
    assert all(str(ROOT / "templates") not in word for word in smoke.terraform("apply"))


@pytest.mark.parametrize(
    "error", [Failed("no"), PermissionDenied("no"), OSError("no"), KeyboardInterrupt(), KeyError()]
)
def test_everything_is_removed_whatever_happened(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def fail() -> None:
        raise error

    found = [
        Step("First", (), lambda: done.append("first")),
        Step("Fail", (), fail),
        Step("Never", (), lambda: done.append("never")),
        Step("Remove", (), lambda: done.append("removed")),
    ]
    if isinstance(error, KeyboardInterrupt | KeyError):
        with pytest.raises(type(error)):
            go(found, "the job")
    else:
        assert go(found, "the job").startswith("step 2 (Fail) failed: ")
    assert done == ["first", "removed"]
    assert "the job" not in capsys.readouterr().err


STOPPED = '''
import sys
from pathlib import Path
from tools.cloud_smoke import Step, go, run_command, stopped_by_signals
child = """
import time
try:
  print("begun", flush=True)
  time.sleep(60)
except KeyboardInterrupt:
  print("written")
"""
first = Step("Run", (), lambda: run_command([sys.executable, "-c", child]))
last = Step("Remove", (), lambda: run_command([sys.executable, "-c", "import time; time.sleep(1); print('removed')"]))
with stopped_by_signals():
    go([first, last], "the job")
'''


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_everything_is_removed_where_it_is_told_to_end(number: signal.Signals) -> None:
    """Twice, as make does. What runs writes down what it made, and nothing ends the removal."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        while running.stdout.readline() != "begun\n":
            assert running.poll() is None
        running.send_signal(number)
        said = ""
        while "Remove" not in said:
            said += running.stdout.readline()
        running.send_signal(number)
        said += running.stdout.read()
    assert "written" in said
    assert "removed" in said
    assert "the job" not in said


@pytest.mark.parametrize("error", [Failed("no"), PermissionDenied("no"), KeyboardInterrupt()])
def test_what_is_left_is_said(error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smoke = Smoke("my-project", "europe-west1", "smoke-1", tmp_path, image="", count=1_000)

    def fail() -> None:
        raise error

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            go([Step("Remove", (), fail)], smoke.left())
    else:
        assert "step 1 (Remove) failed: " in go([Step("Remove", (), fail)], smoke.left())
    said = capsys.readouterr().err
    assert "smoke-1-realtime" in said
    assert "terraform" in said
    assert "destroy" in said


def test_the_calls_are_the_same_each_time_and_some_are_broken() -> None:
    found = list(calls(1_000, "smoke-1", NOW))
    assert len(found) == 1_000
    assert found == list(calls(1_000, "smoke-1", NOW))
    assert sum(not user for user, _ in found) == BROKEN


@pytest.mark.all_in_ci
def test_calls_in_bigquery_are_held_against_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows in a table that stands in are the same; a row less is seen."""
    write_calls(tmp_path / "calls.jsonl", list(calls(400, "smoke-1", NOW)))
    warehouse = Warehouse("proj-x", "europe-west1", "smoke-1", tmp_path)
    warehouse.write_rows()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_bytes().splitlines()]
    assert len(rows) == 400 - BROKEN
    names = ("type", "messageId", "userId", "timestamp", "event", "properties", "traits")
    said = [
        {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()} for row in rows
    ]
    table = pa.table({name: [row.get(name) for row in said] for name in names})
    with serve_bigquery() as api:
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)
        api.tables["projects/proj-x/datasets/smoke_1/tables/calls"] = api.found = table
        assert warehouse.differences() == []
        first = rows[1]["userId"]
        api.found = table.filter(pa.compute.not_equal(table["userId"], first))
        [found] = warehouse.differences()
    assert found.startswith("by the query: ")
    assert first in found


@pytest.mark.all_in_ci
def test_two_stores_are_held_against_each_other(tmp_path: Path, bigtable: Instance) -> None:
    """The same calls in both kinds of store are the same; a member more and a call less are seen."""
    found = list(calls(400, "smoke-1", NOW))
    write_calls(tmp_path / "calls.jsonl", found)
    write_calls(tmp_path / "fewer.jsonl", found[:-BROKEN])
    here = fold_here(tmp_path, tmp_path / "calls.jsonl")
    flags = ["--definitions", DEFINITIONS, "--store", bigtable.url, "--outbox", tmp_path / "there"]
    run = [sys.executable, "-m", "todoke", "run", "--runner=FnApiRunner", *flags]
    subprocess.run([*run, "--events", tmp_path / "calls.jsonl"], check=True, cwd=tmp_path)
    assert differences(here, bigtable.url) == []

    (tmp_path / "other").mkdir()
    fewer = fold_here(tmp_path / "other", tmp_path / "fewer.jsonl")
    (letters,) = differences(here, fewer)
    assert letters.startswith(f"dead letters: {BROKEN} are missing")

    store = open_store(bigtable.url)
    (gone, *_) = store.scan_members("buyers")
    store.write_members([MemberRow(gone.segment, gone.user, active=False, since=gone.since, version=gone.version + 1)])
    store.close()
    (members,) = differences(here, bigtable.url)
    assert members == f"members of buyers: 1 are missing, 0 are too many, such as {gone.user}"
