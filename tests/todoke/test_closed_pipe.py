"""Whoever reads a command's output may stop: that is no failure, and no message."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND

RUN = ("run", "--definitions", "definitions.yaml", "--events", "events.jsonl", "--store", "none")


@pytest.fixture
def unread(tmp_path, finished):
    """Run a command in a copy of the folder of a run, with nobody at the other end of its output."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)

    def unread(*arguments):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            return subprocess.run(
                [str(COMMAND), *arguments], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
            )
        finally:
            os.close(writing)

    return unread


@pytest.mark.parametrize(
    "words",
    [("user", "ann"), ("user", "ann", "--json"), ("members", "buyers")],
    ids=" ".join,
)
def test_a_command_whose_output_nobody_reads_ends_quietly(unread, words):
    done = unread(*words, "--store", "sqlite:users.db")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_is_what_it_is_and_leaves_its_report_whoever_reads_the_output(unread, tmp_path):
    done = unread(*RUN, "--report", "report.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["read"] == 11


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no device that is always full")
@pytest.mark.parametrize("words", [("user", "ann"), ("members", "buyers")], ids=" ".join)
def test_output_that_cannot_be_written_is_a_failure_told_in_a_line(finished, words):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [str(COMMAND), *words, "--store", "sqlite:users.db"]
        done = subprocess.run(command, cwd=finished, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "todoke: No space left on device\n")
