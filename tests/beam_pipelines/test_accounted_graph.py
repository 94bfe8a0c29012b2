"""The graph of `--read accounted`: its labels, state, timers and coders are a schema too, and how it is asked for."""

from pathlib import Path

import apache_beam as beam
import pytest
from graphs import labels, schema
from test_dataflow_graph import BEAMS, MAIL, OURS

from beam_pipelines.live_flags import ACCOUNTED, READ
from beam_pipelines.options import parse
from beam_pipelines.realtime import build, launch_options, run
from transforms.errors import WrongUse

GOLDEN = Path(__file__).parent.parent / "golden"
ASKED = f"--read={ACCOUNTED}"


@pytest.fixture(autouse=True)
def mail(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MAIL.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def pipeline() -> beam.Pipeline:
    config, _, beam_flags = parse([*OURS, *BEAMS, ASKED])
    made = beam.Pipeline(options=launch_options(beam_flags))
    build(made, config)
    return made


def test_dataflow_takes_the_graph(caplog: pytest.LogCaptureFixture) -> None:
    run([*OURS, *BEAMS, ASKED])
    assert "may not be deterministic" not in caplog.text


@pytest.mark.parametrize(("golden", "found"), [("accounted_labels.txt", labels), ("accounted_state.txt", schema)])
def test_what_a_running_job_is_updated_by(golden: str, found: object, pipeline: beam.Pipeline) -> None:
    said = labels(pipeline.to_runner_api()) if found is labels else schema(pipeline)
    assert said == (GOLDEN / golden).read_text("utf-8").splitlines(), (
        f"A job that is updated would lose what it has. If that is meant, edit tests/golden/{golden}, and write into "
        "the changelog, under Breaks running jobs, what to do."
    )


def test_every_state_is_keyed_by_text_and_holds_bytes(pipeline: beam.Pipeline) -> None:
    for line in schema(pipeline):
        if ": keyed input: " in line:
            assert line.endswith(": kv(string_utf8, bytes) in global_window")
        assert "pickle" not in line
        assert "python" not in line


def test_both_ways_of_reading_share_what_they_can(pipeline: beam.Pipeline) -> None:
    """A job that goes over to the other way keeps the queue of sends, and its counts."""
    plain = {*(GOLDEN / "dataflow_state.txt").read_text("utf-8").splitlines()}
    kept = {line for line in plain if line.startswith(("Deliver/", "Metrics/"))}
    assert kept
    assert kept <= {*schema(pipeline)}


def test_on_this_machine_and_over_files_it_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").touch()
    shop = ("--definitions", OURS[1], "--store", "none")
    over_files = [*shop, "--events", str(tmp_path / "e.jsonl"), "--runner=FnApiRunner"]
    for flags in (OURS, over_files):
        with pytest.raises(WrongUse, match="--read accounted: only for live jobs elsewhere"):
            parse([*flags, ASKED])
    assert READ == ("beam", "accounted")
