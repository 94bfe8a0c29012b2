"""Files in, events and dead letters out: every message that was read ends as one of the two."""

import gzip
import json
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.error_handling import ErrorHandler

from transforms.events.decode import Cause, Refused, decode
from transforms.events.event import Event
from transforms.events.sources import Files, Subscription, parse_source
from transforms.events.transforms import Decode, ReadEvents, WriteDeadLetters, found_files, read_messages
from transforms.users.inputs.transforms import KeyInputs

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CLOCK = 1_772_000_000_000_000
#: A line of 10 MB must not take longer than this to be refused, in seconds; it takes about two.
BOUND = 60


def track(number: int, **more: Any) -> bytes:
    call = {"type": "track", "event": "E", "messageId": f"m{number}", "userId": "u", "timestamp": NOON.isoformat()}
    return json.dumps(call | more).encode()


def fixed_clock() -> int:
    return CLOCK


class Run:
    """Reads a source to its end with FnApiRunner, and gives back what came out; a reader without a pipeline agrees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: Iterator[int] = iter(range(100))

    def __call__(self, source: str) -> tuple[list[Event], list[dict[str, Any]]]:
        out = self.folder / f"out-{next(self._runs)}"
        letters = out / "letters" / "dead_letters.jsonl"
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            decoded = pipeline | "Read" >> ReadEvents(parse_source(source)) | "Decode" >> Decode(fixed_clock)
            _ = decoded.dead_letters | "WriteDeadLetters" >> WriteDeadLetters(str(letters))
            encoded = decoded.events | "ToJson" >> beam.Map(msgspec.json.encode)
            coder = beam.coders.BytesCoder()
            _ = encoded | "WriteEvents" >> beam.io.WriteToText(str(out / "events"), num_shards=1, coder=coder)
        lines = next(out.glob("events-*")).read_bytes().splitlines()
        events = [msgspec.json.decode(line, type=Event) for line in lines]
        assert sorted(map(msgspec.json.encode, without_pipeline(source))) == sorted(lines)
        records = [json.loads(line) for line in letters.read_text(encoding="utf-8").split("\n") if line]
        return sorted(events, key=lambda event: event.id), sorted(records, key=lambda record: str(record["cause"]))


def without_pipeline(source: str) -> Iterator[Event]:
    files = parse_source(source)
    assert isinstance(files, Files)
    for payload in read_messages(files):
        with suppress(Refused):
            yield decode(payload)[0]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


GOOD = [track(number) for number in range(5)]
BAD = {
    Cause.NOT_JSON: b"not json",
    Cause.NOT_UTF8: b'{"type": "track", "event": "\xff\xfe"}',
    Cause.TOO_DEEP: b"[" * 50_000,
    Cause.TOO_LARGE: track(9, properties={"text": "x" * 10_000_000}),
    Cause.NO_EVENT: track(9, event=None),
    Cause.NO_TIME: track(9, timestamp=None),
}
BLANK = [b"", b"  \t", b"\r"]


def mixture() -> bytes:
    lines = [line for group in zip(GOOD, BAD.values(), strict=False) for line in group]
    return b"\n".join([*BLANK, *lines, *BLANK, list(BAD.values())[-1], *BLANK])


def check_mixture(events: list[Event], letters: list[dict[str, Any]], source: str) -> None:
    assert [event.id for event in events] == [f"m{number}" for number in range(5)]
    found = {letter["cause"]: letter for letter in letters}
    assert len(letters) == len(BAD)
    assert set(found) == set(BAD)
    for cause, payload in BAD.items():
        text = found[cause]["payload"]
        assert payload == (b64decode(text) if found[cause].get("encoding") == "base64" else text.encode())
        assert found[cause]["source"] == source
        assert found[cause]["time"] == "2026-02-25T06:13:20Z"


def test_good_and_bad_lines_in_one_file(run: Run) -> None:
    path = run.folder / "events.jsonl"
    path.write_bytes(mixture())
    began = time.monotonic()
    check_mixture(*run(str(path)), str(path))
    assert time.monotonic() - began < BOUND


def test_gzip(run: Run) -> None:
    path = run.folder / "events.jsonl.gz"
    path.write_bytes(gzip.compress(mixture(), compresslevel=1))
    check_mixture(*run(str(path)), str(path))


def test_a_pattern_reads_each_file_and_a_letter_names_its_own(run: Run) -> None:
    for number, end in enumerate((b"\n", b"\r\n", b"")):
        (run.folder / f"day-{number}.jsonl").write_bytes(track(number) + b"\nbad" + end)
    (run.folder / "other.jsonl").write_bytes(track(7))
    events, letters = run(str(run.folder / "day-*.jsonl"))
    assert [event.id for event in events] == ["m0", "m1", "m2"]
    assert sorted(letter["source"] for letter in letters) == [
        str(run.folder / f"day-{number}.jsonl") for number in range(3)
    ]
    assert {letter["payload"] for letter in letters} == {"bad"}


def test_hidden_files_are_none_of_a_pattern_that_does_not_ask_for_them(run: Run) -> None:
    (run.folder / "day.jsonl").write_bytes(track(1))
    for name in (".day.jsonl", "._day.jsonl"):  # half a copy of rsync, what macOS puts beside a file
        (run.folder / name).write_bytes(b"\0\5" + track(2))
    for pattern in ("*.jsonl", "[.d]*.jsonl"):
        events, letters = run(str(run.folder / pattern))
        assert ([event.id for event in events], letters) == (["m1"], [])
        assert found_files(str(run.folder / pattern), 1) == [(str(run.folder / "day.jsonl"), len(track(1)))]
    for named in (".d*.jsonl", ".day.jsonl"):
        events, letters = run(str(run.folder / named))
        assert (events, len(letters)) == ([], 1)


@pytest.mark.parametrize("name", ["events.jsonl", "events.parquet"])
def test_a_name_without_a_folder_is_one_in_the_working_directory(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(run.folder)
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist([json.loads(line) for line in GOOD]), name)
    else:
        Path(name).write_bytes(b"\n".join(GOOD))
    for named in (name, f"ev*s{Path(name).suffix}"):
        events, letters = run(named)
        assert (len(events), letters) == (5, [])


@pytest.mark.parametrize("name", ["day-*.jsonl", "day-*.jsonl.gz", "day-*.parquet", "day-*.parquet.gz"])
def test_without_a_pipeline_the_messages_are_the_same(run: Run, name: str) -> None:
    for number in range(2):
        path = run.folder / name.replace("*", str(number))
        if ".parquet" in name:
            pq.write_table(parquet_table(), path)
            content = path.read_bytes()
        else:
            content = b"\r\n".join([track(number), b" ", b"bad", mixture()])
        path.write_bytes(gzip.compress(content, compresslevel=1) if name.endswith(".gz") else content)
    source = parse_source(str(run.folder / name))
    assert isinstance(source, Files)
    events, letters = run(source.pattern)
    ended = [decoded(message) for message in read_messages(source)]
    assert Counter(each for each in ended if each) == Counter(event.id for event in events)
    assert ended.count("") == len(letters)


def decoded(message: bytes) -> str:
    """The id of a message; nothing for a dead letter."""
    try:
        return decode(message)[0].id
    except Refused:
        return ""


def test_no_file_fails_before_anything_runs(run: Run) -> None:
    for name in ("none-*.jsonl", "none.parquet"):
        with pytest.raises(OSError, match="none"):
            run(str(run.folder / name))


def parquet_table() -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "type": "track",
            "event": "E",
            "messageId": "m0",
            "userId": "u",
            "timestamp": NOON,
            "properties": '{"a": [1]}',
        },
        {"type": "page", "messageId": "m1", "anonymousId": "a", "timestamp": NOON + timedelta(microseconds=1)},
        {"type": "track", "event": "E", "messageId": "m2", "userId": "u", "timestamp": NOON, "properties": "{broken"},
        {"type": "track", "event": "E", "messageId": "m3", "userId": "u"},
    ]
    extra = {
        "context": [{"app": {"version": "1.2", "build": None}}, None, None, None],
        "traits": [[("plan", "pro")], None, None, None],
        "score": [1.5, float("nan"), None, None],
        "price": [Decimal("1.10"), None, None, None],
    }
    names = ["type", "event", "messageId", "userId", "anonymousId", "timestamp", "properties"]
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    columns["timestamp"] = columns["timestamp"].cast(pa.timestamp("ns", "Asia/Tokyo"))
    map_type = pa.map_(pa.string(), pa.string())
    columns |= {name: pa.array(values, map_type if name == "traits" else None) for name, values in extra.items()}
    return pa.table(columns)


@pytest.mark.parametrize("name", ["events.parquet", "events.parquet.gz"])
def test_parquet(run: Run, name: str) -> None:
    path = run.folder / name
    pq.write_table(parquet_table(), path, compression="gzip", row_group_size=2)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    (first, second), (broken, timeless) = run(str(path))
    noon = int(NOON.timestamp()) * 1_000_000
    assert (first.id, first.time, first.properties) == ("m0", noon, {"a": [1]})
    assert first.context == {"app": {"version": "1.2"}}
    assert (second.id, second.time, second.user, second.anonymous) == ("m1", noon + 1, None, "a")
    assert (broken["cause"], timeless["cause"]) == (Cause.INVALID, Cause.NO_TIME)
    assert json.loads(broken["payload"])["properties"] == "{broken"
    assert json.loads(timeless["payload"]) == {"type": "track", "event": "E", "messageId": "m3", "userId": "u"}


def test_a_parquet_time_without_zone_is_refused(run: Run) -> None:
    path = run.folder / "events.parquet"
    pq.write_table(pa.Table.from_pylist([json.loads(GOOD[0]) | {"timestamp": NOON.replace(tzinfo=None)}]), path)
    events, letters = run(str(path))
    assert (events, [letter["cause"] for letter in letters]) == ([], [Cause.BAD_TIME])


def test_an_error_handler_takes_the_dead_letters(run: Run) -> None:
    path, letters = run.folder / "events.jsonl", run.folder / "letters.jsonl"
    path.write_bytes(b"\n".join([track(1), b"bad", track(2)]))
    for _ in range(2):
        with (
            beam.Pipeline(runner=FnApiRunner()) as pipeline,
            ErrorHandler(WriteDeadLetters(str(letters))) as handler,
        ):
            read = pipeline | "Read" >> ReadEvents(parse_source(str(path)))
            events = read | "Decode" >> Decode(fixed_clock).with_error_handler(handler)
            assert events.element_type is Event
    causes = [json.loads(line)["cause"] for line in letters.read_text().splitlines()]
    assert causes == ["not_json", "not_json"]  # the second run appends


def test_clocks_that_are_far_ahead_are_counted(run: Run) -> None:
    path = run.folder / "events.jsonl"
    late, far = ({"receivedAt": NOON.isoformat(), "timestamp": f"2026-03-10T12:0{n}:00Z"} for n in (5, 6))
    path.write_bytes(b"\n".join([track(1, **late), track(2, **far), track(3)]))
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | "Read" >> ReadEvents(parse_source(str(path))) | "Decode" >> Decode()
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query(beam.metrics.MetricsFilter().with_name("clock_ahead"))["counters"]
    assert counter.committed == 1


def test_zones_that_nobody_knows_are_counted(run: Run) -> None:
    path = run.folder / "events.jsonl"
    said = [{"timezone": "localtime"}, {"timezone": 5}, {"timezone": "UTC"}, {"timezone": None}, {}]
    lines = [track(number, context=context) for number, context in enumerate(said)]
    lines.append(track(9, type="identify", traits={"timezone": "right/UTC"}))
    path.write_bytes(b"\n".join([*lines, track(10, traits={"timezone": "of no identify"})]))
    pipeline = beam.Pipeline(runner=FnApiRunner())
    decoded = pipeline | "Read" >> ReadEvents(parse_source(str(path))) | "Decode" >> Decode()
    _ = decoded.events | "KeyInputs" >> KeyInputs()
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query(beam.metrics.MetricsFilter().with_name("unknown_zone"))["counters"]
    assert counter.committed == 3


def test_a_subscription_and_a_topic_stand_in_the_graph() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    subscription, topic = "projects/proj-x/subscriptions/events", "projects/proj-x/topics/dead"
    decoded = pipeline | "Read" >> ReadEvents(Subscription(subscription)) | "Decode" >> Decode()
    _ = decoded.dead_letters | "WriteDeadLetters" >> WriteDeadLetters(f"pubsub:{topic}")
    assert not decoded.events.is_bounded
    steps = {step.unique_name: step.spec for step in pipeline.to_runner_api().components.transforms.values()}
    reading = steps["Read/ReadSubscription/Read"]
    assert reading.urn == "beam:transform:pubsub_read:v1"
    assert subscription.encode() in reading.payload
    assert "WriteDeadLetters/Publish" in steps


def test_a_topic_that_cannot_be_fails_while_the_graph_is_built() -> None:
    letters = beam.Pipeline(runner=FnApiRunner()) | "Letters" >> beam.Create([])
    with pytest.raises(ValueError, match="topic"):
        _ = letters | "WriteDeadLetters" >> WriteDeadLetters("pubsub:dead")
