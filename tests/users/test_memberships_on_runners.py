"""Memberships by columns are the oracle's on every runner, and the same bytes on all; with workers in two processes,
too.
"""

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from core import texts_of
from generators import START, definitions, histories, instants, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from strength import examples
from test_memberships_in_beam import OF_COUNTS, by_segment
from test_prepare import HOUR

from transforms.users.prepare.memberships.transforms import WriteMemberships

Plain = dict[str, Any]
#: Each is a pipeline on each runner.
slow = settings(max_examples=examples(2), deadline=None, suppress_health_check=list(HealthCheck))

TWO_THREADS = ("--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading")
TWO_PROCESSES = ("--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing")


def written(
    flags: Sequence[str], history: Iterable[Plain], plain: Plain, as_of: int, parts: int = 3
) -> dict[str, bytes]:
    """The files that a runner writes."""
    messages = [(json.dumps(message).encode(), "test", None, "") for message in history]
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=PipelineOptions(list(flags), save_main_session=False)) as pipeline:
            write = WriteMemberships(texts_of(plain), as_of, parts, folder)
            _ = pipeline | beam.Create(messages) | beam.Reshuffle() | write
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def members(files: dict[str, bytes]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for content in files.values():
        for segment, user in pl.read_parquet(content).select("segment", "user").iter_rows():
            found.setdefault(segment, set()).add(user)
    return found


@slow
@given(st.data())
def test_runners_agree_with_each_other_and_with_the_oracle(prism: str, data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    as_of = data.draw(st.sampled_from(instants(plain, history)))
    located = f"--prism_location={prism}"
    on_prism = ("--runner=PrismRunner", "--environment_type=LOOPBACK", located)
    # Beam's DirectRunner takes whichever of the two fits.
    runners = (TWO_THREADS, ("--runner=DirectRunner", located), on_prism)
    found = [written(flags, history, plain, as_of) for flags in runners]
    assert found[0] == found[1] == found[2]
    assert members(found[0]) == by_segment(memberships(plain, history, as_of))


@pytest.mark.all_in_ci
def test_workers_in_two_processes_write_the_same() -> None:
    """Users and visitors, some of them merged or deleted: nothing of it leans on the memory of one process."""
    history = _history()
    as_of = START + 40 * HOUR
    files = [written(flags, history, OF_COUNTS, as_of) for flags in (TWO_THREADS, TWO_PROCESSES)]
    assert files[0] == files[1]
    assert members(files[0])["n3"]


def _history() -> list[Plain]:
    found: list[Plain] = []
    for number in range(300):
        at = iso(START + number * HOUR // 10)
        ids = {"userId": f"u{number % 23}"} if number % 4 else {"anonymousId": f"v{number % 23}"}
        call: Plain = {"type": "track", "event": "A", **ids}
        if number % 30 == 7:
            call = {"type": "identify", "userId": f"u{number % 23}", "anonymousId": f"v{number % 23}"}
        elif number % 50 == 9:
            call = {"type": "alias", "userId": f"u{number % 23}", "previousId": f"u{number % 7}"}
        elif number % 60 == 11:
            call = {"type": "delete", "userId": f"u{number % 23}"}
        found.append({**call, "messageId": f"m{number}", "timestamp": at, "arrival": at})
    return found
