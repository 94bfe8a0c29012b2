"""Publishing to a topic, and dead letters with handles: they come out only when what came with them is safe."""

import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from google.api_core.exceptions import NotFound
from live_cases import Topic, wait_for

from transforms.events.dead_letter import DeadLetter
from transforms.events.live.inflight import InFlight
from transforms.events.live.transforms import Acknowledge, Publish
from transforms.events.transforms import WriteDeadLetters
from transforms.job import Job

LETTERS = [DeadLetter(f"bad {n}".encode(), "pubsub:s", "not_json", "x", n, f"h{n}" if n % 2 else "") for n in range(6)]


def flat(handles: beam.PCollection[list[str]]) -> beam.PCollection[str]:
    return handles | "Flat" >> beam.FlatMap(lambda handles: handles)


def test_payloads_are_at_the_broker_and_their_handles_come_out(topic: Topic) -> None:
    payloads = [(f"p{n}".encode(), f"h{n}" if n else "") for n in range(50)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        handles = pipeline | beam.Create(payloads) | "Publish" >> Publish(topic.name)
        assert_that(flat(handles), equal_to([f"h{n}" for n in range(1, 50)]))
    found: list[bytes] = []
    wait_for(lambda: found.extend(topic.pull(0.2)) or len(found) >= 50)
    assert sorted(found) == sorted(payload for payload, _ in payloads)


def test_a_topic_that_is_not_there_fails_the_bundle(topic: Topic) -> None:
    with (
        pytest.raises(NotFound),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = pipeline | beam.Create([(b"p", "h")]) | "Publish" >> Publish(f"{topic.name}-missing")


def test_a_name_that_cannot_be_fails_while_the_graph_is_built() -> None:
    with pytest.raises(ValueError, match="topic"):
        Publish("events")


def test_dead_letters_to_a_topic(topic: Topic) -> None:
    huge = DeadLetter(b"\x00" * 9_000_000, "pubsub:s", "not_json", "x", 0, "huge")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        letters = pipeline | beam.Create([*LETTERS, huge])
        handles = letters | "WriteDeadLetters" >> WriteDeadLetters(f"pubsub:{topic.name}", live=True)
        assert_that(flat(handles), equal_to(["h1", "h3", "h5", "huge"]))
    found: list[bytes] = []
    wait_for(lambda: found.extend(topic.pull(0.2)) or len(found) >= 7)
    records = {record["payload"]: record for record in map(json.loads, found)}
    assert len(found) == len(records) == 7
    cut = records.pop("\x00" * 1_000_000)
    assert cut["detail"] == "x; the payload is cut: 1,000,000 of 9,000,000 bytes"
    assert set(records) == {f"bad {n}" for n in range(6)}


def test_dead_letters_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        letters = pipeline | beam.Create(LETTERS)
        handles = letters | "WriteDeadLetters" >> WriteDeadLetters(str(path), live=True)
        assert_that(flat(handles), equal_to(["h1", "h3", "h5"]))
    assert sorted(json.loads(line)["payload"] for line in path.read_text().splitlines()) == [
        f"bad {n}" for n in range(6)
    ]


def test_a_live_job_needs_a_sink_that_takes_letters_as_they_come() -> None:
    letters = beam.Pipeline(runner=FnApiRunner()) | beam.Create(LETTERS)
    with pytest.raises(ValueError, match="local file or a topic"):
        _ = letters | WriteDeadLetters("gs://bucket/letters.jsonl", live=True)


def test_acknowledge_settles_in_this_process_and_refuses_handles_of_another() -> None:
    done: list[str] = []
    job = Job()
    handles = [job.part(InFlight).add(done.extend, f"m{n}") for n in range(3)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create([handles[:2], [], ["", handles[2]]]) | "Acknowledge" >> Acknowledge(job)
    assert sorted(done) == ["m0", "m1", "m2"]
    with (
        pytest.raises(RuntimeError, match="environment_type=LOOPBACK"),
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        _ = pipeline | beam.Create([["1:0"]]) | "Acknowledge" >> Acknowledge(job)
