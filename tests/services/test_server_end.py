"""How a service ends: workers that end by themselves are left alone, and one that hangs is killed in time."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
#: What granian says of a worker that it kills, and what we say.
KILLED = ("refused to gracefully stop", "is killed")


@pytest.mark.parametrize(
    ("workers", "holds", "killed"),
    [("1", 0.0, 0), pytest.param("2", 0.0, 0, marks=pytest.mark.all_in_ci), ("1", 600.0, 1)],
)
def test_a_worker_is_killed_only_if_it_hangs_and_what_it_answered_was_answered(
    workers: str, holds: float, killed: int
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("slow_service.py")), workers]
    told = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=told, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/{holds}").text == "ok"
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line for line in said.splitlines() if any(word in line for word in KILLED)] == [
        "WARNING:services.server:a worker did not end in 2 seconds and is killed; what it answered is kept"
    ] * killed
