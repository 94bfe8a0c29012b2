"""The live graph, built for Dataflow without a network.

Labels, state, timers and coders are a schema: running jobs are updated over them.
"""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import StreamingOptions
from external_job import ELSEWHERE, build_over_files
from graphs import labels, schema

from beam_pipelines.options import parse
from beam_pipelines.realtime import build, launch_options, run

ROOT = Path(__file__).parent.parent.parent
LABELS = ROOT / "tests" / "golden" / "dataflow_labels.txt"
SCHEMA = ROOT / "tests" / "golden" / "dataflow_state.txt"

MAIL = {
    "TODOKE_MAIL_FROM": "Shop <shop@example.com>",
    "TODOKE_UNSUBSCRIBE_URL": "https://shop.example.com/unsubscribe",
    "TODOKE_UNSUBSCRIBE_SECRET": "a secret",
}
OURS = (
    *("--definitions", str(ROOT / "todoke" / "demo" / "shop.yaml")),
    *("--events", "pubsub:projects/proj-x/subscriptions/events"),
    *("--store", "bigtable:proj-x/todoke"),
    *("--push", "fcm:proj-x"),
    *("--email", "smtps://mail.example.com:465"),
    *("--control", "pubsub:projects/proj-x/subscriptions/control"),
    *("--control-topic", "pubsub:projects/proj-x/topics/control"),
    *("--dead-letters", "pubsub:projects/proj-x/topics/dead-letters"),
)
BEAMS = (
    *("--runner=DataflowRunner", "--dry_run=True", "--no_auth", "--streaming"),
    *("--sdk_location=container", "--sdk_container_image=todoke", "--temp_location=gs://bucket/t"),
    *("--project=proj-x", "--region=us-central1"),
)


@pytest.fixture(scope="module")
def mail() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in MAIL.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def pipeline(mail: None) -> beam.Pipeline:
    config, _, beam_flags = parse([*OURS, *BEAMS])
    made = beam.Pipeline(options=launch_options(beam_flags))
    build(made, config)
    return made


def test_dataflow_takes_the_graph(pipeline: beam.Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    pipeline.run()
    warnings = [record.getMessage() for record in caplog.records if "may not be deterministic" in record.getMessage()]
    assert warnings == []


def test_step_labels(pipeline: beam.Pipeline) -> None:
    golden = LABELS.read_text("utf-8").splitlines()
    assert labels(pipeline.to_runner_api()) == golden, (
        "A step's label changed, and a running job that is updated would lose the step's state. If that is meant, "
        f"edit {LABELS.relative_to(ROOT)} and write into the changelog, under Breaks running jobs, what to do."
    )


@pytest.mark.parametrize("runner", ["DirectRunner", "PrismRunner"])
def test_other_runners_get_the_same_steps(runner: str, mail: None) -> None:
    config, _, _ = parse([*OURS, f"--runner={runner}"])
    made = beam.Pipeline(options=launch_options([f"--runner={runner}"]))
    build(made, config)
    assert labels(made.to_runner_api()) == LABELS.read_text("utf-8").splitlines()


def test_over_files_all_steps_but_those_that_read_and_write_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    made = beam.Pipeline(options=launch_options(["--runner=PrismRunner"]))
    shop = str(ROOT / "todoke" / "demo" / "shop.yaml")
    places = str(tmp_path / "events.jsonl"), shop, f"sqlite:{tmp_path / 'u.db'}", str(tmp_path)
    build_over_files(made, *places)

    def others(steps: list[str]) -> list[str]:
        return [step for step in steps if step.partition("/")[0] not in ELSEWHERE]

    assert others(labels(made.to_runner_api())) == others(LABELS.read_text("utf-8").splitlines())


def test_state_timers_and_shuffles(pipeline: beam.Pipeline) -> None:
    """What a running job has in its hands, and the next version of it must read: ids, coders and clocks."""
    golden = SCHEMA.read_text("utf-8").splitlines()
    assert schema(pipeline) == golden, (
        "State, a timer or the elements of a shuffle would be named or written differently, and a job that is updated "
        "could not read what the running one holds. Keep the id and the coder, or give the new thing a new id. If the "
        f"break is meant, edit {SCHEMA.relative_to(ROOT)} and write into the changelog, under Breaks running jobs, "
        "what to do: drain the old job, launch the new one, wake."
    )


def test_every_state_is_keyed_by_text_and_holds_bytes(pipeline: beam.Pipeline) -> None:
    """Of our own MessagePack, which other golden files pin; no coder is left for Beam to guess."""
    for line in schema(pipeline):
        if ": keyed input: " in line:
            assert line.endswith(": kv(string_utf8, bytes) in global_window")
        assert "pickle" not in line
        assert "python" not in line


@pytest.mark.parametrize(("flags", "version"), [((), "2.77.0"), (("--update_compatibility_version=2.99.0",), "2.99.0")])
def test_a_launch_pins_the_version_of_beam_that_coders_follow(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], version: str
) -> None:
    for name, value in MAIL.items():
        monkeypatch.setenv(name, value)
    job = run([*OURS, *BEAMS, *flags]).job
    assert job.options.view_as(StreamingOptions).update_compatibility_version == version
