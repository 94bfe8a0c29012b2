"""`--flink` means what a job on Flink needs, and nothing else may say where the job runs."""

from pathlib import Path

import apache_beam as beam
import pytest
from rich.console import Console

from beam_pipelines import backfill_options, options
from todoke.run import check_beam_flags, run_bounded
from transforms.errors import RunFailed, WrongUse

DEFINITIONS = "segments:\n  buyers: {owner: crm, members: {event: Order Completed}}\n"
AS_OF = "2026-03-01T00:00:00Z"
LIVE = ["--control", "pubsub:projects/p1-prod/subscriptions/control"]
LIVE += ["--control-topic", "pubsub:projects/p1-prod/topics/control"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags that name files by relative paths."""
    monkeypatch.chdir(tmp_path)
    Path("plain.yaml").write_text(DEFINITIONS, "utf-8")
    Path("events.jsonl").touch()
    return ["--definitions", "plain.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db"]


def test_a_run_over_files_goes_to_the_job_server(files: list[str]) -> None:
    _, _, beam_flags = options.parse([*files, "--flink", "flink.example:8099", "--parallelism", "4"])
    assert beam_flags == [
        "--runner=PortableRunner",
        "--job_endpoint=flink.example:8099",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
        "--parallelism=4",
        "--environment_cache_millis=20000",
    ]
    check_beam_flags(beam_flags)


def test_what_is_said_of_workers_stands(files: list[str]) -> None:
    said = ["--environment_type=DOCKER", "--environment_cache_millis=0"]
    _, _, beam_flags = options.parse([*files, "--flink", "[::1]:8099", *said])
    assert beam_flags == [*said, "--runner=PortableRunner", "--job_endpoint=[::1]:8099"]
    said = ["--environment_config=workers:4000"]
    _, _, beam_flags = options.parse([*files, "--flink", "h:1", *said])
    assert beam_flags[0] == said[0]
    assert beam_flags.count("--environment_type=EXTERNAL") == 1
    assert not any(flag.startswith("--environment_config=localhost") for flag in beam_flags)


def test_paths_are_absolute_for_workers_in_another_folder(files: list[str], tmp_path: Path) -> None:
    config, _, _ = options.parse([*files, "--flink", "localhost:8099"])
    assert config.store == f"sqlite:{tmp_path}/users.db"
    assert config.source.pattern == f"{tmp_path}/events.jsonl"  # type: ignore[union-attr]
    assert config.outbox == f"{tmp_path}/outbox"
    assert config.dead_letters == f"{tmp_path}/outbox/dead_letters.jsonl"
    flags = [*files[:-2], "--write", "memberships", "--out", "members", "--as-of", AS_OF]
    asked, beam_flags = backfill_options.parse([*flags, "--flink", "localhost:8099"])
    assert asked.out == f"{tmp_path}/members"
    config, _, _ = options.parse([*files, "--events", "./at-09:*.jsonl", "--flink", "localhost:8099"])
    assert config.source.pattern == f"{tmp_path}/at-09:*.jsonl"  # type: ignore[union-attr]
    assert asked.config.dead_letters == f"{tmp_path}/dead_letters.jsonl"
    assert "--runner=PortableRunner" in beam_flags
    config, _, _ = options.parse([*files, "--store", "none", "--dead-letters", "out.jsonl"])
    assert (config.store, config.outbox, config.dead_letters) == (None, "outbox", "out.jsonl")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--flink", "flink"], r"--flink: expected HOST:PORT .* found \"flink\""),
        (["--flink", "http://flink:8099"], "--flink: expected HOST:PORT"),
        (["--flink", "h:1", "--runner=DirectRunner"], "--flink, --runner: both say where the job runs"),
        (["--flink", "h:1", "--runner", "FlinkRunner"], "--flink, --runner: both say"),
        (["--flink", "h:1", "--job_endpoint=h:2"], "--flink, --job_endpoint: both say"),
        (["--flink", "h:1", "--parallelism", "0"], "--parallelism: expected 1 or more; found 0"),
        (["--flink", "h:1", "--checkpoints", "5s"], "--checkpoints: only for live jobs"),
        (["--parallelism", "2"], "--parallelism: only with --flink"),
        (["--checkpoints", "2s"], "--checkpoints: only with --flink"),
    ],
)
def test_what_cannot_be_is_said(files: list[str], more: list[str], said: str) -> None:
    with pytest.raises(WrongUse, match=said):
        options.parse([*files, *more])
    with pytest.raises(WrongUse, match=said):
        backfill_options.parse([*files, "--as-of", AS_OF, *more])


def test_seeds_are_made_here(files: list[str]) -> None:
    flags = [*files[:2], *files[4:], "--flink", "localhost:8099"]
    with pytest.raises(WrongUse, match="--flink: seeds are made on this machine"):
        backfill_options.parse([*flags, "--write", "seeds"])
    assert "--runner=PortableRunner" in backfill_options.parse([*flags, "--write", "audit"])[1]


def test_the_source_of_pubsub_that_beam_has_is_refused(files: list[str]) -> None:
    live = [*files[:2], "--events", "pubsub:projects/p1-prod/subscriptions/events", *files[4:], *LIVE]
    with pytest.raises(WrongUse, match="--flink: Beam's source of Pub/Sub does not run on Flink"):
        options.parse([*live, "--flink", "localhost:8099"])
    with pytest.raises(WrongUse, match="--checkpoints: a duration must be longer than zero"):
        options.parse([*live, "--flink", "localhost:8099", "--checkpoints", "0s"])
    with pytest.raises(WrongUse, match="--restarts: only for live jobs on this machine, and --runner or --flink"):
        options.parse([*live, "--runner=PrismRunner", "--restarts", "3"])


@pytest.mark.parametrize("runner", [["--runner=FlinkRunner"], ["--runner", "portable", "--job_endpoint=h:8099"]])
def test_a_live_job_on_flink_has_the_flag_that_keeps_its_messages(files: list[str], runner: list[str]) -> None:
    live = [*files[:2], "--events", "pubsub:projects/p1-prod/subscriptions/events", *files[4:], *LIVE]
    with pytest.raises(WrongUse, match="--runner: a live job on Flink takes --flink HOST:PORT"):
        options.parse([*live, "--read", "accounted", *runner])
    options.parse([*files, *runner])


def test_workers_that_share_no_folder_are_said(files: list[str]) -> None:
    config, _, _ = options.parse(files)

    def leave_nothing(pipeline: beam.Pipeline, *_: object) -> None:
        _ = pipeline | beam.Create([1])

    with pytest.raises(RunFailed, match=r"the workers left no counts in .*TMPDIR"):
        run_bounded(config, console=Console(quiet=True), build=leave_nothing)
