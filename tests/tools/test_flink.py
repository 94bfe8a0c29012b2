"""The cluster of Flink on one machine, as a program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wheels import ROOT

#: Longer than anything here takes on a busy machine, in seconds.
PATIENCE = 200.0


def running(folder: Path) -> list[str]:
    """The commands of processes that name a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.mark.timeout(3 * PATIENCE)
def test_a_cluster_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.flink", "sleep", "1000"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + PATIENCE
    try:
        while not running(tmp_path):
            if process.poll() == 1:
                pytest.skip(process.communicate()[1])
            assert time.monotonic() < until
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + signal.SIGINT, said
    finally:
        process.kill()
    while left := running(tmp_path):
        assert time.monotonic() < until, left
        time.sleep(0.2)
    assert [*tmp_path.glob("todoke-flink-*")] == []
