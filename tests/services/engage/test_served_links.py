"""The service as a process: what a reader did is there, though all processes were killed in the moment it waited."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from engage_service import SECRET
from touched_shop import DEFINITIONS, links, path, sent

from services.engage.tracking.verdicts import TOGETHER
from transforms.channels.tokens import SigningKeys
from transforms.storage.open import open_store

ROOT = Path(__file__).parents[3]
KEYS = SigningKeys({"b": SECRET})
PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"}


def begun(folder: Path, *flags: str) -> "tuple[subprocess.Popen[str], str]":
    """A process, and where it answers."""
    (folder / "shop.yaml").write_text(DEFINITIONS)
    command = [sys.executable, "-m", "services.engage", "--listen", "127.0.0.1:0", "--store", "sqlite:store.db"]
    command += ["--definitions", "shop.yaml", "--touches", "queue:touches.db", *flags]
    told = {**os.environ, "PYTHONPATH": str(ROOT), "TODOKE_SIGNING_KEYS": f"b={SECRET}"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=told, stdout=pipe, stderr=pipe, text=True, cwd=folder, start_new_session=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("engage: http"), process.wait()
    return process, line.split()[1].rstrip(",")


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[str]:
    """Where it answers; all of its processes are killed at the end."""
    process, base = begun(folder, *flags)
    with process:
        try:
            yield base
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def published(folder: Path) -> list[dict[str, object]]:
    with closing(open_store(f"sqlite:{folder / 'store.db'}")) as store:
        return [json.loads(row.payload) for row in store.read_control(1_000)]


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.all_in_ci)])
def test_no_click_is_lost_by_a_kill_in_the_moment_before_its_verdict(tmp_path: Path, workers: str) -> None:
    """Killed twice: before the moment is over, and just when it is, so that some were published and not yet marked."""
    answered = []
    with served(tmp_path, "--workers", workers) as base, httpx.Client(base_url=base, headers=PERSON) as client:
        for number in range(10):
            url = links(KEYS).click(sent(user=f"u{number}"), f"l{number}", f"https://shop.example/{number}", 20)
            answer = client.get(path(url))
            assert (answer.status_code, answer.headers["location"]) == (302, f"https://shop.example/{number}")
            answered.append(f"u{number}")
    assert published(tmp_path) == []
    time.sleep(TOGETHER / 1_000_000)
    with served(tmp_path, "--workers", workers):
        until = time.monotonic() + 30
        while not published(tmp_path) and time.monotonic() < until:
            time.sleep(0.02)
    with served(tmp_path, "--workers", workers):
        until = time.monotonic() + 30
        while len({each["userId"] for each in published(tmp_path)}) < 10 and time.monotonic() < until:
            time.sleep(0.05)
    found = published(tmp_path)
    assert sorted({str(each["userId"]) for each in found}) == sorted(answered)
    assert len({each["id"] for each in found}) == 10  # what was published twice has one id, and is a duplicate


def test_it_ends_when_it_is_told_to_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process, base = begun(tmp_path)
    with process:
        url = links(KEYS).click(sent(), "a", "https://shop.example", 2)
        assert httpx.get(base + path(url), headers=PERSON).status_code == 302
        began = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_it_does_not_start_without_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    command = [sys.executable, "-m", "services.engage", "--definitions", "shop.yaml"]
    for flags, keys, said in (
        (["--store", "sqlite:s.db"], "", "set TODOKE_SIGNING_KEYS"),
        (["--store", "sqlite:s.db"], "b=short", "fewer than 32 characters"),
        (["--store", "bigtable:p/i"], f"b={SECRET}", "--sink: name the job's control topic"),
        (["--store", "sqlite:s.db", "--touches", "topic"], f"b={SECRET}", "--touches: expected queue:PATH"),
        (["--store", "sqlite:s.db", "--judge", "pubsub:projects/p/subscriptions/s"], f"b={SECRET}", "--judge"),
    ):
        told = {**os.environ, "PYTHONPATH": str(ROOT), "TODOKE_SIGNING_KEYS": keys}
        done = subprocess.run([*command, *flags], env=told, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "short" not in done.stderr
