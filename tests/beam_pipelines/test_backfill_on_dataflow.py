"""A backfill as the one step of a batch job: the command in a process of its own, on whatever machine runs the step."""

import json
import logging
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.backfill_on_dataflow import build, check
from transforms.errors import RunFailed, WrongUse
from transforms.storage.open import open_reader

DEFINITIONS = "segments: {buyers: {owner: crm, members: {event: Order Completed}}}\n"
CALL = {"type": "track", "event": "Order Completed", "timestamp": "2026-03-01T12:00:00Z"}
NOT_HERE = ("--definitions=gs://b/live.json", "--store=bigtable:p/i")


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    calls = [json.dumps({**CALL, "userId": f"u{n}", "messageId": f"m{n}"}) for n in range(5)]
    (tmp_path / "calls.jsonl").write_text("\n".join(calls))
    return [
        f"--definitions={tmp_path / 'shop.yaml'}",
        f"--events={tmp_path / 'calls.jsonl'}",
        f"--store=sqlite:{tmp_path / 'users.db'}",
        "--as-of=2026-04-01T00:00:00Z",
    ]


def run(flags: list[str]) -> None:
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        build(pipeline, flags)


def test_the_step_does_what_the_command_does_and_logs_what_it_says(
    flags: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "beam_pipelines")
    run(flags)
    reader = open_reader(f"sqlite:{tmp_path / 'users.db'}")
    assert {row.user for row in reader.scan_members("buyers")} == {f"u{n}" for n in range(5)}
    reader.close()
    assert any("all users" in record.getMessage() for record in caplog.records)  # the report
    assert not list(tmp_path.glob("dead_letters*"))


@pytest.mark.all_in_ci
def test_a_second_try_is_refused_and_fails_the_job_with_its_cause(flags: list[str]) -> None:
    run(flags)
    with pytest.raises(RunFailed, match="the backfill ended with 2: the store holds users already"):
        run(flags)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (["--definitions=shop.json", "--store=bigtable:p/i", "--write=seeds"], "shop.json would be a worker's file"),
        ([NOT_HERE[0], "--store=sqlite:u.db", "--write=seeds"], "sqlite:u.db would be a worker's file"),
        ([*NOT_HERE, "--events=calls.jsonl", "--as-of=now"], "calls.jsonl would be a worker's file"),
        ([*NOT_HERE, "--events=bigquery:q.sql", "--as-of=now"], "bigquery:q.sql would be a worker's file"),
        ([*NOT_HERE, "--write=seeds", "--as-of=yesterday"], "--as-of: expected a time"),
        ([*NOT_HERE, "--write=seeds", "--as-of=now-1y"], "--as-of: "),
        ([*NOT_HERE, "--write=seeds", "--as-of=now+1h"], "--as-of: expected a time .*, or now, now-1h, today"),
        ([*NOT_HERE, "--write=seeds", "--runner=DirectRunner"], "--runner=DirectRunner: no flags of a backfill"),
    ],
)
def test_what_cannot_be_on_a_worker_is_refused(
    given: list[str], cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongUse, match=cause):
        check(given)
