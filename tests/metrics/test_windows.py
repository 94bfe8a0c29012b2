"""Counts of a live job by window: exact when bundles are tried again, and when timers or messages come late."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import HOUR, MINUTE, START, texts_of

from transforms.events.event import Event
from transforms.metrics.counts import counts_of
from transforms.metrics.flow import flows
from transforms.metrics.transforms import EARLY_COUNT, LATE_SECONDS, WriteMetrics
from transforms.storage import transforms as steps
from transforms.storage.open import open_store
from transforms.storage.store import Store, StoreError
from transforms.users import transforms as users
from transforms.users.inputs.transforms import KeyInputs
from transforms.users.tally import Tally
from transforms.users.transforms import AdvanceUnbounded

#: The minute in which everything here begins.
FIRST = START - START % MINUTE
DEFINITIONS = texts_of(
    {
        "segments": {"active": {"members": {"event": "Viewed", "within": "2h"}}},
        "campaigns": {
            "hello": {
                "trigger": {"event": "Viewed"},
                "steps": [{"send": "push"}],
                "reenter": "always",
                "consent": "offers",
            }
        },
        "messages": {"push": {"channel": "push", "title": "Hello"}},
    }
)


def clock() -> int:
    return START + 3 * HOUR


def stream_of(*items: tuple[Any, int] | int) -> TestStream:
    """Elements with their times, and watermarks between them; then the end of time. All in microseconds."""
    stream = TestStream(coder=beam.coders.PickleCoder())
    for item in items:
        if isinstance(item, int):
            stream = stream.advance_watermark_to(Timestamp(micros=item))
        else:
            stream = stream.add_elements([TimestampedValue(item[0], Timestamp(micros=item[1]))])
    return stream.advance_watermark_to_infinity()


def run(build: Any) -> None:
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        build(pipeline)


def written(url: str) -> dict[str, dict[int, int]]:
    """Counts by series and by minute after the first."""
    store = open_store(url)
    found: dict[str, dict[int, int]] = {}
    for row in store.scan_metrics(""):
        found.setdefault(row.series, {})[(row.window - FIRST) // MINUTE] = row.count
    store.close()
    return found


SERIES_A, SERIES_B = (f'repeated{{campaign="{label}",channel="push"}}' for label in "ab")


def tally(count: int, label: str = "a") -> Tally:
    return ("repeated", (label, "push"), 0), count


def test_what_comes_late_is_added_to_what_was_written(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    stream = stream_of(
        (tally(1), FIRST),
        (tally(2), FIRST + MINUTE - 1),
        (tally(4), FIRST + MINUTE),
        FIRST + 10 * MINUTE,
        (tally(8), FIRST + MINUTE - 1),
        (tally(16), FIRST + 9 * MINUTE),
        (tally(32, "b"), FIRST),
        FIRST + 2 * HOUR,
        (tally(64), FIRST),
        (tally(128), FIRST + 2 * HOUR),
    )
    run(lambda pipeline: pipeline | "Tallies" >> stream | "Metrics" >> WriteMetrics(url, clock))
    assert written(url) == {SERIES_A: {0: 75, 1: 4, 9: 16, 120: 128}, SERIES_B: {0: 32}}


def test_what_is_later_than_windows_are_kept_counts_in_the_minute_in_which_it_comes(tmp_path: Path) -> None:
    """A user who is woken after a long outage has timers of then."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    past = clock() - LATE_SECONDS * 1_000_000
    stream = stream_of((tally(1), clock()), clock(), (tally(2), past), (tally(4), past + 1000), (tally(8), FIRST))
    run(lambda pipeline: pipeline | "Tallies" >> stream | "Metrics" >> WriteMetrics(url, clock))
    found = written(url)[SERIES_A]
    assert sum(found.values()) == 15
    assert found[(clock() - FIRST) // MINUTE] == 3


def test_a_pane_without_tallies_leaves_what_was_written(tmp_path: Path) -> None:
    """Flink fires a window once more when its time is over, empty, if its watermark goes to the end of time at once."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    for count in (5, 0):  # the second sum is that of nothing
        stream = stream_of((tally(count), FIRST), (tally(0), FIRST + MINUTE))
        run(lambda pipeline, stream=stream: pipeline | "Tallies" >> stream | "Metrics" >> WriteMetrics(url, clock))
        assert written(url) == {SERIES_A: {0: 5}}


def test_segments_flow_in_early_on_time_and_late_panes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pane is written whole; what is read after one is right for what came until then. Nobody is a member now."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    panes: list[list[tuple[int, int, int, int]]] = []

    def opened(url: str, **options: Any) -> Any:
        store = open_store(url, **options)
        write = store.write_metrics

        def watched(rows: Any) -> None:
            write(rows)
            if rows:
                found = flows("vip", counts_of(store), 0)
                panes.append([((flow.window - FIRST) // MINUTE, flow.entered, flow.left, flow.size) for flow in found])

        monkeypatch.setattr(store, "write_metrics", watched, raising=False)
        return store

    monkeypatch.setattr(steps, "open_store", opened)
    entered: Any = (("entered", ("vip", "event"), 0), 1)
    left: Any = (("left", ("vip", "time"), 0), 1)
    stream = stream_of(
        *((entered, FIRST + number) for number in range(EARLY_COUNT)),  # an early pane
        (entered, FIRST + 30),
        FIRST + MINUTE,  # on time
        *((left, FIRST + MINUTE + number) for number in range(3)),
        FIRST + 2 * MINUTE,
        (left, FIRST + 1),  # late, which changes the sizes of both minutes
        ((("entered", ("other", "event"), 0), 5), FIRST),
    )
    run(lambda pipeline: pipeline | "Tallies" >> stream | "Metrics" >> WriteMetrics(url, clock))
    first = EARLY_COUNT
    assert [pane for pane, before in zip(panes, [[], *panes], strict=False) if pane != before] == [
        [(0, first, 0, 0)],
        [(0, first + 1, 0, 0)],
        [(0, first + 1, 0, 3), (1, 0, 3, 0)],
        [(0, first + 1, 1, 3), (1, 0, 3, 0)],
    ]


class Faltering:
    """A store that writes, and then fails, whenever it is asked to write something for the first time.

    Of users it writes nothing then: who is first seen by a bundle is opened from the row when it is tried again.
    """

    def __init__(self, store: Store, methods: tuple[str, ...], failures: Counter[str]) -> None:
        self._store = store
        self._methods = methods
        self._failures = failures
        self._written: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._falter(name, method) if name in self._methods else method

    def _falter(self, name: str, method: Any) -> Any:
        def write(rows: Any) -> None:
            fresh = set(map(repr, rows)) - self._written
            self._written |= fresh
            if not fresh or name != "write_users":
                method(rows)
            if fresh:
                self._failures[name] += 1
                raise StoreError("failed for the test")

        return write


@pytest.fixture
def faltering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes the stores of the steps falter in some of their methods; counts how often they did."""
    failures: Counter[str] = Counter()
    made: dict[str, Faltering] = {}

    def falter(*methods: str) -> Counter[str]:
        def open_faltering(url: str, **options: Any) -> Any:
            if url not in made:
                made[url] = Faltering(open_store(url, **options), methods, failures)
            return made[url]

        for module in (users, steps):
            monkeypatch.setattr(module, "open_store", open_faltering)
        return failures

    yield falter
    for store in made.values():
        store.close()


def advance(pipeline: beam.Pipeline, stream: TestStream, url: str) -> None:
    keyed = pipeline | "Events" >> stream | "KeyInputs" >> KeyInputs()
    anonymous = keyed.anonymous | "Anonymous" >> AdvanceUnbounded(DEFINITIONS, url)
    inputs = (keyed.users, anonymous.forwarded) | "Inputs" >> beam.Flatten()
    advanced = inputs | "Advance" >> AdvanceUnbounded(DEFINITIONS, url)
    tallies = (keyed.tallies, anonymous.tallies, advanced.tallies) | "Tallies" >> beam.Flatten()
    _ = tallies | "Metrics" >> WriteMetrics(url, clock)


def event(user: str, at: int, **fields: Any) -> tuple[Event, int]:
    context = {"device": {"token": f"token {user}"}} if user != "unreachable" else {}
    who = {"anonymous": user[1:]} if user.startswith("~") else {"user": user}
    return Event(f"{user} {at}", "track", "Viewed", at, at, context=context, **who, **fields), at


@pytest.mark.parametrize("methods", [(), ("write_users",), ("write_members",), ("write_metrics",)])
def test_a_bundle_that_is_tried_again_counts_once(tmp_path: Path, faltering: Any, methods: tuple[str, ...]) -> None:
    failures = faltering(*methods)
    url = f"sqlite:{tmp_path / 'store.db'}"
    stream = stream_of(
        event("u1", FIRST),
        event("unreachable", FIRST + 1),
        event("~a1", FIRST + 2),
        event("u1", FIRST),  # again
        FIRST + MINUTE,
        event("u2", FIRST + MINUTE),
        event("u1", FIRST + 30 * MINUTE),
        FIRST + HOUR,
        event("u3", FIRST + 2 * MINUTE),  # late
        (Event("i", "identify", "", FIRST + HOUR, FIRST + HOUR, user="u2", anonymous="a1"), FIRST + HOUR),
        FIRST + 2 * HOUR + 1000,  # the first membership has ended
        event("u4", FIRST + 2 * HOUR),
        FIRST + 4 * HOUR + 1000,  # timers of many minutes fire at once
    )
    run(lambda pipeline: advance(pipeline, stream, url))
    assert set(failures) == set(methods)
    found = written(url)
    behind = [sum(found.pop(series).values()) for series in list(found) if series.startswith("behind{")]
    assert behind == [10], (
        "one look a bundle, also where it was tried again: nine events, one of them through both steps"
    )
    assert found.pop("behind_sum{}")
    latency = [found.pop(series) for series in list(found) if series.startswith("latency{")]
    sums = [found.pop(series) for series in list(found) if series.startswith("latency_sum{")]
    (units,) = [found.pop(series) for series in list(found) if series.startswith("units{")]
    assert units == {0: 5}, "who entered for the first time, by the day"
    decided = {0: 2, 1: 1, 30: 1, 2: 1, 120: 1}
    assert latency == [decided] * 2, "by the wall clock, from arrival and from trigger"
    assert [each.keys() for each in sums] == [decided.keys()] * 2
    assert found == {
        'events{event="Viewed",type="track"}': {0: 3, 1: 1, 30: 1, 2: 1, 120: 1},
        'events{type="identify"}': {60: 1},
        'accounts{outcome="applied"}': {0: 3, 1: 1, 30: 1, 2: 1, 60: 1, 120: 1},
        'accounts{outcome="duplicate"}': {0: 1},
        'entered{segment="active",via="event"}': {0: 2, 1: 1, 2: 1, 120: 1},
        'left{segment="active",via="time"}': {120: 1, 121: 1, 122: 1, 150: 1, 240: 1},
        'entries{campaign="hello"}': {0: 2, 1: 1, 30: 1, 2: 1, 120: 1},
        'decided{campaign="hello",channel="push",step="push"}': decided,
        'suppressed{campaign="hello",reason="unreachable"}': {0: 1},
        "merged{}": {60: 1},
    }
