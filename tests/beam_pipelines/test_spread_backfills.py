"""Backfills that many workers share: the same graph on every runner, which Dataflow takes without a network."""

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from graphs import labels

from beam_pipelines import memberships
from beam_pipelines.backfill_on_dataflow import build_spread
from beam_pipelines.backfill_options import Backfill, parse
from todoke.sources import opened
from transforms.errors import RunFailed
from transforms.storage.store import NoStore
from transforms.users.audits.transforms import AuditStore
from transforms.users.prepare.transforms import ReadArchive

DATAFLOW = (
    *("--runner=DataflowRunner", "--dry_run=True", "--no_auth", "--project=proj-x", "--region=us-central1"),
    *("--sdk_location=container", "--sdk_container_image=todoke", "--temp_location=gs://bucket/t"),
)
BY_COLUMNS = """
segments: {buyers: {owner: crm, members: {event: Order Completed}}}
recommend: {event: Order Completed, product: id, within: 90d, segments: [buyers]}
"""
BY_ROWS = "segments: {ended: {owner: crm, members: {event: Session Ended}}}\n"


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    (tmp_path / "events.jsonl").write_text("{}\n")

    def ask(definitions: str, *flags: str) -> Backfill:
        (tmp_path / "shop.yaml").write_text(definitions)
        given = [f"--definitions={tmp_path / 'shop.yaml'}", "--as-of=2026-03-01T00:00:00Z", *flags]
        return parse([each.replace("EVENTS", str(tmp_path / "events.jsonl")) for each in given])[0]

    return ask


KINDS = {
    "memberships of files": ("--write=memberships", "--events=EVENTS", "--out=gs://bucket/out"),
    "memberships of a store": ("--write=memberships", "--store=bigtable:p/i", "--out=gs://bucket/out"),
    "audit": ("--write=audit", "--store=bigtable:p/i"),
    "recommendations of files": ("--write=recommendations", "--events=EVENTS", "--store=bigtable:p/i"),
    "recommendations of a store": ("--write=recommendations", "--store=bigtable:p/i"),
}


@pytest.mark.all_in_ci
@pytest.mark.parametrize("kind", KINDS)
def test_every_runner_gets_the_same_steps(asked: Any, kind: str) -> None:
    backfill, found = asked(BY_COLUMNS, *KINDS[kind]), []
    for flags in (DATAFLOW, ("--runner=PrismRunner",), ("--runner=FnApiRunner",)):
        pipeline = beam.Pipeline(options=PipelineOptions(list(flags), save_main_session=False))
        assert build_spread(pipeline, backfill, opened)
        found.append(labels(pipeline.to_runner_api()))
        if flags is DATAFLOW:
            pipeline.run()
    assert found[0] == found[1] == found[2]
    assert "Finish" in found[0]


def test_no_file_of_another_run_takes_the_place_of_one_that_is_lost(asked: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    backfill = asked(BY_COLUMNS, "--write=memberships", "--events=EVENTS", f"--out={out}")
    folder = Path(memberships.unfinished(backfill))

    def made(*numbers: int) -> None:
        memberships.begin(str(out))
        for number in numbers:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:05}.parquet").write_bytes(b"x")

    made(0, 1)
    names = memberships.finish(backfill, "columns", {}, 2)["files"]
    for _ in range(2):  # that somebody tries again makes it no better
        made(0)  # another run has deleted 1 meanwhile
        with pytest.raises(RunFailed, match=r"memberships-00001\.parquet is not there"):
            memberships.finish(backfill, "columns", {}, 2)
        assert sorted(path.name for path in out.glob("m*")) == ["manifest.json", *names]  # those of the run before
    (out / "manifest.json").unlink()
    made(0, 1)
    (folder / "00001.parquet").rename(out / "memberships-00001.parquet")  # a try before this one
    assert memberships.finish(backfill, "columns", {}, 2)["files"] == [path.name for path in sorted(out.glob("*.p*"))]


@pytest.mark.parametrize("step", [AuditStore, lambda url, *_: ReadArchive(url)])
def test_a_worker_that_does_not_see_the_store_makes_none_of_its_own(step: Any, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "store.db"
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    _ = pipeline | step(f"sqlite:{place}", {"a.yaml": BY_ROWS}, 1)
    with pytest.raises(NoStore, match="there is no file"):
        pipeline.run()
    assert not place.parent.exists()


def test_all_else_is_one_step(asked: Any) -> None:
    pipeline = beam.Pipeline()
    users = ("--write=users", "--events=EVENTS", "--store=bigtable:p/i")
    assert not build_spread(pipeline, asked(BY_COLUMNS, *users), opened)
    assert not build_spread(pipeline, asked(BY_ROWS, *KINDS["memberships of files"]), opened)
