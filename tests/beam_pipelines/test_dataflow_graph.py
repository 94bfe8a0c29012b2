"""The live graph, built for Dataflow without a network. Its labels are a schema: running jobs are updated over them."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.options import parse
from beam_pipelines.realtime import build
from transforms.channels.settings import MAIL_VARIABLES

ROOT = Path(__file__).parent.parent.parent
LABELS = ROOT / "tests" / "golden" / "dataflow_labels.txt"

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
def pipeline() -> beam.Pipeline:
    with pytest.MonkeyPatch.context() as environment:
        for name in MAIL_VARIABLES:
            environment.setenv(name, "https://shop.example.com")
        config, _, beam_flags = parse([*OURS, *BEAMS])
    made = beam.Pipeline(options=PipelineOptions(beam_flags, save_main_session=False))
    build(made, config)
    return made


def test_dataflow_takes_the_graph(pipeline: beam.Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    pipeline.run()
    warnings = [record.getMessage() for record in caplog.records if "may not be deterministic" in record.getMessage()]
    assert warnings == []


def test_step_labels(pipeline: beam.Pipeline) -> None:
    steps = pipeline.to_runner_api().components.transforms.values()
    labels = sorted(step.unique_name for step in steps if step.unique_name)
    golden = LABELS.read_text("utf-8").splitlines()
    assert labels == golden, (
        "A step's label changed, and a running job that is updated would lose the step's state. If that is meant, "
        f"edit {LABELS.relative_to(ROOT)} and write into the changelog, under Breaks running jobs, what to do."
    )


def test_what_is_keyed_has_stated_coders(pipeline: beam.Pipeline) -> None:
    """State and shuffles by key are read back by the next version of a job, so no coder is left to be guessed."""
    components = pipeline.to_runner_api().components
    stateful = {
        step.unique_name: step
        for step in components.transforms.values()
        if step.unique_name.endswith(("ParDo(_ApplyInputs)", "Deliver/Send"))
    }
    assert sorted(stateful) == [
        "Advance/Apply/ParDo(_ApplyInputs)",
        "Anonymous/Apply/ParDo(_ApplyInputs)",
        "Deliver/Send",
    ]
    for step in stateful.values():
        (source,) = step.inputs.values()
        coder = components.coders[components.pcollections[source].coder_id]
        parts = [components.coders[part].spec.urn for part in coder.component_coder_ids]
        assert (coder.spec.urn, parts) == ("beam:coder:kv:v1", ["beam:coder:string_utf8:v1", "beam:coder:bytes:v1"])
