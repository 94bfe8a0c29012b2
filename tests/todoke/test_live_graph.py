"""What a live job on Prism needs to be told: to split no bundle, and to listen for longer than five minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from slow_job import EACH, KEYS

from todoke.prism import find_prism

YEAR = 365 * 86_400


@pytest.mark.all_in_ci
def test_a_slow_step_loses_no_state_and_a_job_may_live_for_years() -> None:
    if find_prism().path is None:
        message = "no Prism: install Go, and `make prism` builds it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    command = [sys.executable, str(Path(__file__).parent / "slow_job.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    said = done.stdout.splitlines()
    assert {f"k{key}: {EACH}" for key in range(KEYS)} <= set(said), done.stderr[-2000:]
    assert said[-1] == "a live job does not end, but this one is DONE"
    [timeout] = [line.partition(": ")[2] for line in said if line.startswith("timeout: ")]
    assert int(timeout) > YEAR
