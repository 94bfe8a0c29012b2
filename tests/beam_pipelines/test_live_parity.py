"""The live job and a run over a file, on the same calls: the same users and members, and those of the oracle.

Since when, and which sends, depends on the order in which a live job gets to a person's calls, which on a busy machine
is not that of their arrival. `python -m bench.reliability parity` compares those too; that the shells decide alike on
inputs in one order is tried in tests/users.
"""

import time
from pathlib import Path

import pytest
from emulators import Instance, Project

from bench.reliability.checks import Check, check_all
from bench.reliability.parity import compare
from bench.reliability.rig import emulated, publishing
from bench.reliability.stream import stream
from bench.reliability.watch import Progress, settle

#: Until the job has started, in seconds: what is published before waits for it.
START = 2


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_live_and_bounded_runs_end_alike(tmp_path: Path, pubsub: Project, bigtable: Instance) -> None:
    made = emulated(tmp_path, pubsub.host, bigtable.host)
    begin = time.time_ns() // 1000 + START * 1_000_000
    calls = stream(300, 20.0, begin, seed=11, step=2.0)
    progress = Progress(made, calls, begin)
    try:
        made.job.start()
        with publishing(made.broker, calls, begin, progress.note) as publisher:
            while publisher.is_alive():
                progress.look()
                publisher.join(1.0)
        settle(made, progress, print)
        found: list[Check] = [*check_all(made, calls, progress), *compare(made, calls)]
    finally:
        made.close()
    assert {check.name: check.wrong for check in found if check.wrong and not check.by_order} == {}
    figures = {check.name: check.figure for check in found}
    assert figures["calls published"] == 300
    assert figures["sends: push handed_off"] > 20
    assert figures["memberships of users compared"] > 100
    counted = figures["calls applied by the table of metrics"]
    assert counted == figures["calls in the archive"]  # nothing was killed
