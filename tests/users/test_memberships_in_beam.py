"""Memberships by columns as Beam steps: those of the core and of the naive oracle, whatever bundles and parts."""

import json
import tempfile
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from core import compile_plain, decode_all, known, run_bounded, texts_of
from generators import START, definitions, histories, instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples
from test_prepare import COUNTS, HOUR, call, run_with_control, stories

from transforms.users.prepare.memberships.transforms import WriteMemberships

Plain = dict[str, Any]
#: Each is a pipeline.
slow = settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))

OF_COUNTS = {
    "segments": {f"n{n}": {"members": {"event": "A", "count": {"is": n}}} for n in range(8)}
    | {"pro": {"members": {"attribute": "plan", "is": "pro"}}}
}


def through_beam(history: Iterable[Plain], plain: Plain, as_of: int, parts: int) -> dict[str, set[str]]:
    """The users of each segment, by segment; the empty ones are left out."""
    messages = [(json.dumps(message).encode(), "test", None, "") for message in history]
    with tempfile.TemporaryDirectory() as folder:
        # Several workers in this process, so that a step has several bundles.
        flags = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"]
        with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
            written = WriteMemberships(texts_of(plain), as_of, parts, folder)
            _ = pipeline | beam.Create(messages) | beam.Reshuffle() | written
        files = sorted(Path(folder).iterdir())
        assert [file.name for file in files] == [f"{part:05}.parquet" for part in range(parts)]
        rows = pl.concat([pl.read_parquet(file) for file in files])
    assert rows.height == rows.unique().height
    found: dict[str, set[str]] = {}
    for segment, user in rows.select("segment", "user").iter_rows():
        found.setdefault(segment, set()).add(user)
    return found


def by_segment(users: dict[str, set[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for user, segments in users.items():
        for segment in segments:
            found.setdefault(segment, set()).add(user)
    return found


@slow
@given(st.data())
def test_they_are_those_of_rows_and_of_the_oracle(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    found = through_beam(history, plain, as_of, data.draw(st.integers(1, 3)))
    assert found == by_segment(memberships(plain, history, as_of))
    users, _ = run_bounded(decode_all(history), compile_plain(plain), as_of)
    assert found == by_segment(known(users))


@slow
@given(stories(), st.integers(1, 3))
def test_deleted_and_merged_users_are_those_of_the_state_machine(story: list[Plain], parts: int) -> None:
    as_of = START + 14 * HOUR
    assert through_beam(story, OF_COUNTS, as_of, parts) == by_segment(known(run_with_control(story, as_of)))


@pytest.mark.parametrize("history", [[], [{"type": "nonsense"}]])
def test_without_users_there_are_empty_files(history: list[Plain]) -> None:
    assert through_beam(history, OF_COUNTS, START, 2) == {}
    assert set(COUNTS.segments) == OF_COUNTS["segments"].keys()


def test_an_announcement_is_applied_and_the_same_call_of_another_name_is_a_dead_letter(tmp_path: Path) -> None:
    sale = {
        "trigger": {"announcement": "Sale Began"},
        "audience": {"segment": "pro"},
        "steps": [{"send": "hello"}],
        "consent": "offers",
    }
    plain = OF_COUNTS | {"campaigns": {"sale": sale}, "messages": {"hello": {"channel": "push", "title": "Hello"}}}
    calls = [call("track", HOUR, name, event=name) for name in ("Sale Began", "Else")]
    calls += [call("track", HOUR, "m", userId="u", event="A"), call("track", 9 * HOUR, "late", event="Sale Began")]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        messages = pipeline | beam.Create([(json.dumps(each).encode(), "test", None, "") for each in calls])
        counts = messages | WriteMemberships(texts_of(plain), START + 4 * HOUR, 2, str(tmp_path))
        ended = {"read": 4, "applied": 2, "dead_letter": 1, "later": 1, "users": 1, "segment n1": 1}
        assert_that(counts | beam.Filter(itemgetter(1)), equal_to(list(ended.items())))
