"""The lease on a store: one job at a time, and what a job that died left is no hindrance for long."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from transforms.segments.values import SECOND
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.lease import HELD, RENEWED, JobLease, LeaseHeld, LeaseLost

ROOT = Path(__file__).parent.parent.parent
NOW = 1_772_000_000_000_000


class Clock:
    """Time that passes while somebody sleeps, and what happens then."""

    def __init__(self) -> None:
        self.now = NOW
        self.then: Callable[[], None] = lambda: None

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.then()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def elsewhere(store: Store) -> None:
    """The lease as a process of another machine would have it."""
    found = store.read_lease()
    assert found is not None
    assert store.swap_lease(found, msgspec.structs.replace(found, host="elsewhere/boot/processes"))


def test_one_holds_it_and_others_are_told_who(store: Store, clock: Clock) -> None:
    one, other = JobLease(store, "a live job", clock=clock), JobLease(store, "a run over files", clock=clock)
    one.check()
    one.take()
    one.check()
    said = rf"a live job \(process {os.getpid()} on \S+, since 2026-02-25T06:13:20Z\) .* until 2026-02-25T06:14:20Z"
    for refused in (other.check, other.take):
        with pytest.raises(LeaseHeld, match=said):
            refused()
    one.release()
    other.take()
    with pytest.raises(LeaseHeld, match="a run over files"):
        one.take()


def test_who_gave_it_back_does_not_take_it_from_the_next(store: Store, clock: Clock) -> None:
    one, other = JobLease(store, "one", clock=clock), JobLease(store, "other", clock=clock)
    one.take()
    one.release()
    other.take()
    one.release()
    with pytest.raises(LeaseHeld, match="other"):
        one.check()


def test_it_is_renewed_in_time_and_runs_out_when_nobody_does(store: Store, clock: Clock) -> None:
    one, other = JobLease(store, "one", clock=clock), JobLease(store, "other", clock=clock)
    one.take()
    one.keep(lambda: clock.now >= NOW + 5 * HELD, sleep=clock.sleep)
    with pytest.raises(LeaseHeld):
        other.take()
    clock.now += HELD - RENEWED - SECOND
    with pytest.raises(LeaseHeld):
        other.take()
    clock.now += RENEWED + SECOND
    other.take()


def test_who_comes_too_late_has_lost_it(store: Store, clock: Clock) -> None:
    one, other = JobLease(store, "one", clock=clock), JobLease(store, "other", clock=clock)
    one.take()
    clock.now += 2 * HELD
    one.keep(once(), sleep=clock.sleep)  # nobody has taken it yet
    clock.now += 2 * HELD
    other.take()
    with pytest.raises(LeaseLost, match="one lost its lease on the store to other"):
        one.keep(lambda: False, sleep=clock.sleep)


def once() -> Callable[[], bool]:
    """Stops after one look."""
    answers = iter([False, True])
    return lambda: next(answers)


def test_what_a_process_elsewhere_left_is_waited_for(store: Store, clock: Clock) -> None:
    JobLease(store, "one", clock=clock).take()
    elsewhere(store)
    other = JobLease(store, "other", clock=clock)
    other.await_and_take(sleep=clock.sleep)
    assert NOW + HELD <= clock.now < NOW + HELD + SECOND


def test_one_who_renews_it_meanwhile_is_not_waited_for(store: Store, clock: Clock) -> None:
    one, other = JobLease(store, "one", clock=clock), JobLease(store, "other", clock=clock)
    one.take()
    clock.then = lambda: one.keep(once(), sleep=lambda _: None)
    with pytest.raises(LeaseHeld, match="one"):
        other.await_and_take(sleep=clock.sleep)
    assert clock.now <= NOW + 2 * RENEWED + SECOND


def test_a_killed_process_of_this_machine_hinders_nobody(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    program = (
        "import sys\n"
        "from transforms.storage.open import open_store\n"
        "from transforms.users.lease import JobLease\n"
        f"JobLease(open_store({url!r}), 'a live job').take()\n"
        "print('taken', flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        lease = JobLease(open_store(url), "the next")
        with pytest.raises(LeaseHeld, match=f"process {holder.pid}"):
            lease.take()
        holder.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # it is gone, though nobody has asked how it ended
        lease.take()


def test_it_is_kept_beside_what_is_done_and_given_back(store: Store) -> None:
    one, other = JobLease(store, "one"), JobLease(store, "other")
    one.take()
    with one.kept(), pytest.raises(LeaseHeld):
        other.take()
    other.take()
    other.release()
    one.take()
    with pytest.raises(ZeroDivisionError), one.kept():
        raise ZeroDivisionError
    other.take()
