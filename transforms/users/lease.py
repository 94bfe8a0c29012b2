"""The lease on a store: one job at a time keeps the state of users there.

A live job on one machine keeps users in its process, and a run over files folds them from their beginning: two at once
would write over each other. So a job that works on a store holds its lease, a row that says who and until when, and
renews it. The lease of a process that died runs out; on the same machine its death is seen at once.

Times are microseconds since the epoch, UTC, by the clock of the machine that writes or reads them. The clocks of two
machines must differ by much less than `HELD`.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import msgspec

from transforms.errors import NotStarted, TodokeError
from transforms.events.times import write_time
from transforms.segments.values import SECOND
from transforms.storage.lease import Lease as LeaseTable
from transforms.storage.rows import LeaseRow

__all__ = ["LIVE_JOB", "JobLease", "LeaseHeld", "LeaseLost"]

#: What a live job on one machine calls itself: it reads the control table of its store.
LIVE_JOB = "a live job"

#: For how long a lease is taken, and after how long it is renewed.
HELD, RENEWED = 60 * SECOND, 10 * SECOND
#: Between two looks whether it is time, in seconds.
_LOOK_SECONDS = 0.2
#: Who renews so often while it is waited for is at work, and not dying.
_RENEWALS = 2
#: How often somebody else may be quicker and gone again.
_TRIES = 8


class LeaseHeld(NotStarted):
    """Somebody else works on the store; the message says who, until when, and what to do."""

    def __init__(self, row: LeaseRow) -> None:
        super().__init__(
            f"{row.job} (process {row.pid} on {row.host.partition('/')[0]}, since {write_time(row.since)}) works on "
            f"this store and holds its lease until {write_time(row.until)}, or longer if it renews it: stop it first"
        )


class LeaseLost(TodokeError):
    """This job did not renew its lease in time, and another has it now: this one must not write any more."""


class JobLease:
    """The lease on a store, for one job of this process.

    Args:
      store: on which the job works.
      job: what it is, for the message to a job that is refused.
      clock: microseconds UTC.
    """

    def __init__(
        self, store: LeaseTable, job: str, *, clock: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._store = store
        self._clock = clock
        started = _started(os.getpid()) or ""
        self._row = LeaseRow(job, _here(), os.getpid(), started, os.urandom(8).hex(), 0, 0)

    def check(self) -> None:
        """Raise `LeaseHeld` where somebody else holds it."""
        self._standing()

    def take(self) -> bool:
        """Take it; returns whether the holder before did not give it back.

        Raises:
          LeaseHeld: somebody else has it.
        """
        for _ in range(_TRIES):
            found = self._standing()
            now = self._clock()
            mine = msgspec.structs.replace(self._row, since=now, until=now + HELD)
            if self._store.swap_lease(found, mine):
                self._row = mine
                return found is not None and found.until > 0
        raise LeaseHeld(found or mine)

    def await_and_take(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take it. Wait first if a job holds it that does not renew it any more.

        Raises:
          LeaseHeld: somebody else has it, and goes on renewing it.
        """
        seen: set[LeaseRow | None] = set()
        while True:
            try:
                self.take()
            except LeaseHeld:
                seen.add(self._store.read_lease())
                if len(seen) > _RENEWALS:
                    raise
                sleep(_LOOK_SECONDS)
            else:
                return

    def keep(self, stopped: Callable[[], bool], *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Renew it in time until it is told to stop.

        Raises:
          LeaseLost: somebody else took it, since this process came too late.
          StoreError: the store cannot be written.
        """
        while not stopped():
            now = self._clock()
            if now >= self._row.until - HELD + RENEWED:
                renewed = msgspec.structs.replace(self._row, until=now + HELD)
                if not self._store.swap_lease(self._row, renewed):
                    found = self._store.read_lease()
                    raise LeaseLost(
                        f"{self._row.job} lost its lease on the store to {found.job if found else 'nobody'}"
                    )
                self._row = renewed
            sleep(_LOOK_SECONDS)

    def release(self) -> None:
        """Give it back, if it is still this job's."""
        self._store.swap_lease(self._row, msgspec.structs.replace(self._row, until=0))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease while the body runs, and then give it back.

        Raises:
          LeaseLost, StoreError: at the end, where it could not be renewed.
        """
        over = Event()
        with ThreadPoolExecutor(1, "lease") as renewing:
            kept = renewing.submit(self.keep, over.is_set)
            try:
                yield
            finally:
                over.set()
                wait([kept])
                self.release()
            kept.result()

    def _standing(self) -> LeaseRow | None:
        """The row as it is, if nobody else's lease stands."""
        found = self._store.read_lease()
        if found is None or found.token == self._row.token or found.until <= self._clock() or self._is_dead(found):
            return found
        raise LeaseHeld(found)

    def _is_dead(self, row: LeaseRow) -> bool:
        """Whether the holder was a process of this machine that has ended."""
        return row.host == self._row.host and _started(row.pid) != row.started


def _here() -> str:
    """This machine since it was started, and the part of it in which process ids mean the same."""
    parts = [socket.gethostname()]
    boot, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists() and processes.is_symlink():
        parts += [boot.read_text(encoding="ascii").strip(), str(processes.readlink())]
    return "/".join(parts)


def _started(pid: int) -> str | None:
    """What tells a process from a later one of the same id, where the system says it; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return ""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in ("Z", "X") else fields[18]  # starttime (proc_pid_stat(5)), in ticks since the start
