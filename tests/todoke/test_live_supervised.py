"""The supervisor: it restarts what fails, gives up in the end, and nothing outlives it."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoke.live import LIVED_WELL, LONGEST_PAUSE, Patience, supervise
from transforms.errors import RunFailed
from transforms.logs import write_log

ROOT = Path(__file__).parent.parent.parent


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_command_that_fails_is_started_again_until_patience_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    with write_log("text", job="run"), pytest.raises(RunFailed, match="gave up after 3 failures in a row"):
        supervise(shell(f"echo run >> {runs}; echo the cause >&2; exit 1"), restarts=2)
    said = capfd.readouterr().err.splitlines()
    assert lines(runs) == ["run"] * 3
    assert said == [
        "the cause",
        "todoke: the run failed; restart 1 of 2 in 1 s",
        "the cause",
        "todoke: the run failed; restart 2 of 2 in 2 s",
        "the cause",
    ]


def test_wrong_use_is_not_tried_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(SystemExit) as ended:
        supervise(shell(f"echo run >> {runs}; exit 2"))
    assert (ended.value.code, lines(runs)) == (2, ["run"])


def test_a_live_run_that_ends_by_itself_has_failed() -> None:
    with pytest.raises(RunFailed, match="ended by itself"):
        supervise(shell("exit 0"))


def test_what_a_run_started_is_gone_before_the_next_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    started = f"(while :; do echo $$ >> {log}; sleep 0.02; done) & sleep 0.3"
    with write_log("text", job="run"), pytest.raises(RunFailed, match="gave up"):
        supervise(shell(f"echo run >> {log}; {started}; kill -9 $$"), restarts=1)
    written = lines(log)
    time.sleep(0.2)
    assert lines(log) == written
    first, second = [set(part.split()) for part in " ".join(written).split("run")[1:]]
    assert len(first) == len(second) == 1
    assert first != second
    assert "was killed by SIGKILL" in capfd.readouterr().err


class Supervisor:
    """A supervisor in a process of its own, over a command that notes its process and that of something it starts."""

    def __init__(self, folder: Path, trap: str = "") -> None:
        self._noted = folder / "pids"
        text = f"{trap} sleep 1000 & echo $$ $! > {self._noted}; while :; do sleep 0.1; done"
        script = f"from todoke.live import supervise; supervise(['/bin/sh', '-c', {text!r}])"
        self.process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        wait_for(lambda: lines(self._noted))
        self.pids = [int(pid) for pid in lines(self._noted)[0].split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("kind", [signal.SIGKILL])
def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path, kind: signal.Signals) -> None:
    supervisor = Supervisor(tmp_path)
    assert all(map(alive, supervisor.pids))
    supervisor.process.send_signal(kind)
    assert supervisor.process.wait(60) == -kind
    wait_for(lambda: not any(map(alive, supervisor.pids)))


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_lets_the_run_stop_by_itself_and_ends_well(tmp_path: Path, kind: signal.Signals) -> None:
    stopped = tmp_path / "stopped"
    supervisor = Supervisor(tmp_path, f"trap {shlex.quote(f'echo stopped > {stopped}; exit 0')} TERM;")
    supervisor.process.send_signal(kind)
    assert supervisor.process.wait(60) == 0
    assert lines(stopped) == ["stopped"]
    wait_for(lambda: not any(map(alive, supervisor.pids)))


def test_told_to_stop_while_it_starts_the_run_it_still_lets_the_run_stop_by_itself(tmp_path: Path) -> None:
    """The run signals its supervisor as its first act, before most starts of it have come back."""
    stopped = tmp_path / "stopped"
    for times in range(1, 21):
        stop = f"trap {shlex.quote(f'echo stopped >> {stopped}; exit 0')} TERM"
        supervise(shell(f"{stop}; kill -INT $PPID; while :; do sleep 0.02; done"))
        assert lines(stopped) == ["stopped"] * times


@pytest.mark.all_in_ci
def test_told_twice_it_waits_no_longer(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, "trap '' TERM;")
    supervisor.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert supervisor.process.poll() is None
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.process.wait(20)
    wait_for(lambda: not any(map(alive, supervisor.pids)))


@given(st.integers(0, 20), st.lists(st.floats(0, LIVED_WELL - 1), min_size=21, max_size=30))
def test_failures_in_a_row_are_forgiven_so_often_with_pauses_that_grow(restarts: int, lives: list[float]) -> None:
    patience = Patience(restarts)
    pauses = [patience.after(lived) for lived in lives[: restarts + 1]]
    assert pauses[-1] is None
    given_ = [pause for pause in pauses if pause is not None]
    assert len(given_) == restarts
    assert given_ == sorted(given_)
    assert given_[:3] == [1.0, 2.0, 4.0][:restarts]
    assert all(pause <= LONGEST_PAUSE for pause in given_)


def test_a_run_that_lived_well_starts_the_count_anew() -> None:
    patience = Patience(2)
    for _ in range(5_000):
        assert patience.after(LIVED_WELL) == 1.0
        assert patience.after(0) == 2.0
    assert patience.after(0) is None
    assert Patience(0).after(LIVED_WELL) is None
