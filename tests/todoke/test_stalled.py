"""A live job that stands still ends, so that its supervisor starts it again; one that moves, or rests, goes on."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from core import START
from hypothesis import given
from hypothesis import strategies as st

from todoke.heartbeat import Heartbeat
from todoke.stalled import RunStalled, keep_moving
from transforms.events.event import Event
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.storage.rows import UserRow
from transforms.users.way_back.transforms import Announce

PATIENCE = 60.0
#: What each second brings: whether something ended in it, and how many messages are in flight after it.
SECONDS = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=200)


def watch(seconds: list[tuple[bool, int]]) -> int:
    """Watch a run that lives for so many seconds; returns how many it lived."""
    now = ended = 0

    def sleep(_: float) -> None:
        nonlocal now, ended
        ended += seconds[now][0]
        now += 1

    try:
        keep_moving(
            lambda: now == len(seconds),
            patience=PATIENCE,
            moved=lambda: ended,
            waiting=lambda: seconds[now - 1][1] if now else 0,
            clock=lambda: float(now),
            sleep=sleep,
        )
    except RunStalled:
        return now
    return len(seconds)


def stands(seconds: list[tuple[bool, int]]) -> int:
    """After which second a run has stood still for `PATIENCE`, or how long it lives."""
    still = 0
    for second, (ended, waiting) in enumerate(seconds, 1):
        still = 0 if ended or not waiting else still + 1
        if still > PATIENCE - 1 and second < len(seconds):
            return second
    return len(seconds)


@given(SECONDS, st.integers(0, 100))
def test_it_ends_when_nothing_has_ended_for_so_long(seconds: list[tuple[bool, int]], silent: int) -> None:
    told = [*seconds, *[(False, 1)] * silent, *seconds]
    assert watch(told) == stands(told)


def test_it_says_how_many_wait() -> None:
    with pytest.raises(RunStalled, match=r"5,001 messages are in flight, and nothing has ended for 60 s"):
        keep_moving(
            lambda: False,
            patience=PATIENCE,
            moved=lambda: 0,
            waiting=lambda: 5_001,
            clock=iter(range(1_000)).__next__,
            sleep=lambda _: None,
        )


def test_an_announcement_to_millions_is_no_standstill(tmp_path: Path) -> None:
    """One bundle tells everybody, and nothing else may end meanwhile."""
    url, job = f"sqlite:{tmp_path / 'store.db'}", Job()
    store = open_store(url)
    store.write_users([UserRow(name, 1, b"", b"{}") for name in ("ada", "bob", "cat")])
    store.close()
    before = Heartbeat(job).moved()
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        _ = pipeline | beam.Create([Event("s1", "track", "Sale Began", START, START)]) | Announce(url, job)
    assert Heartbeat(job).moved() != before
