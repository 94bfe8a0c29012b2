"""Seen from outside: how far the live job has come, and when it has nothing left to do."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

from bench.reliability.rig import Rig
from bench.reliability.stream import Call, owners
from transforms.storage.rows import EventKey, LedgerState

__all__ = ["Progress", "settle", "wait_for"]

#: Longer than anything takes on a busy machine, in seconds.
PATIENCE = 1200.0
#: How many of the oldest calls that are not in the archive yet are looked for at a time.
_ASKED_AT_ONCE = 2_000


class Progress:
    """Which published calls are in the archive of events, and how long each kill or outage held them up.

    Attributes:
      published: how many calls the broker has.
      behind: the longest time, in seconds, that a call had been with the broker and was not in the archive.
      behind_at: when that was, in seconds after the begin.
      blind: the longest time between two looks, in seconds. No call took longer than `behind` and this together.
    """

    def __init__(self, rig: Rig, calls: list[Call], begin: int) -> None:
        self._store = rig.store
        self._begin = begin / 1e6
        self._calls = calls
        self._owners = owners(calls)
        self._missing = list(range(len(calls)))
        self._waiting: list[tuple[int, float, int]] = []
        self._lock = threading.Lock()
        self.published = 0
        self.behind = self.behind_at = self.blind = 0.0
        self._looked = time.monotonic()
        #: By the number of a milestone: seconds until all that was published before it had been applied.
        self.caught_up: dict[int, float] = {}

    def note(self, count: int) -> None:
        """Note how many of the calls, from the first on, are with the broker."""
        with self._lock:
            self.published = max(self.published, count)

    def milestone(self, number: int) -> None:
        """Time how long it takes from now until all that has been published by now is applied."""
        self._waiting.append((number, time.monotonic(), self.published))

    def look(self) -> int:
        """Ask the archive; returns how many of the published calls are not in it."""
        published = self.published
        asked = [place for place in self._missing[:_ASKED_AT_ONCE] if place < published]
        keys = {place: self.homes(self._calls[place]) for place in asked}
        found = self._store.existing_events([key for each in keys.values() for key in each])
        there = {place for place, each in keys.items() if not found.keys().isdisjoint(each)}
        self._missing = [place for place in self._missing if place not in there]
        oldest, now = self._missing[0] if self._missing else published, time.monotonic()
        self.blind, self._looked = max(self.blind, now - self._looked), now
        self.caught_up |= {number: now - since for number, since, count in self._waiting if count <= oldest}
        self._waiting = [each for each in self._waiting if each[2] > oldest]
        if oldest < published:
            since = time.time() - self._begin
            late = since - self._calls[oldest].at, since
            self.behind, self.behind_at = max((self.behind, self.behind_at), late)
        return sum(place < published for place in self._missing)

    def homes(self, call: Call) -> list[EventKey]:
        """Where the archive may hold a call: at the id that it names, or at whoever owns that id now."""
        plain = call.plain
        named = [plain.get("userId"), f"~{plain['anonymousId']}" if "anonymousId" in plain else None]
        names = [name for name in named if name is not None]
        for name in names:
            if name in self._owners and self._owners[name] not in names:
                names.append(self._owners[name])
        return [EventKey(name, call.time, call.id) for name in names]


def wait_for(holds: Callable[[], bool], rig: Rig, what: str, pause: float = 1.0, patience: float = PATIENCE) -> None:
    """Wait until something holds.

    Raises:
      RuntimeError: the job ended.
      TimeoutError: it does not hold in time.
    """
    until = time.monotonic() + patience
    while not holds():
        rig.job.check()
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {patience:.0f} s\n{rig.job.tail()}")
        time.sleep(pause)


def settle(rig: Rig, progress: Progress, say: Callable[[str], None]) -> str:
    """Wait until the job is at rest, sweep the claims that kills left, and stop it; returns what the sweep said.

    At rest: every published call is in the archive, nothing is on the way back, no deadline is nearer than an hour (all
    short windows are over), and the only open sends are those of claims.
    """
    wait_for(lambda: progress.look() == 0, rig, "every call is applied")
    say("all calls are applied")
    wait_for(lambda: _at_rest(rig), rig, "the job is at rest", pause=2.0)
    claimed = [row for row in rig.store.scan_ledger() if row.state == LedgerState.CLAIMED]
    swept = ""
    if claimed:
        lapsed = max(row.lease for row in claimed) / 1e6 + 1
        say(f"{len(claimed)} claims were left behind; their leases end in {lapsed - time.time():.0f} s")
        time.sleep(max(0.0, lapsed - time.time()))
    command = [sys.executable, "-m", "todoke", "sweep", "--store", rig.url, "--definitions", str(rig.definitions)]
    swept = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wait_for(lambda: not _open_sends(rig) and _quiet(rig), rig, "every send is closed", pause=2.0)
    rig.job.stop()
    return swept


def _at_rest(rig: Rig) -> bool:
    if not _quiet(rig):
        return False
    rows = list(rig.store.scan_users())
    claimed = sum(row.state == LedgerState.CLAIMED for row in rig.store.scan_ledger())
    soon = time.time_ns() // 1000 + 3600 * 1_000_000
    return all(row.deadline is None or row.deadline > soon for row in rows) and (
        sum(row.open_sends for row in rows) == claimed
    )


def _quiet(rig: Rig) -> bool:
    return not rig.store.read_control(1)


def _open_sends(rig: Rig) -> int:
    return sum(row.open_sends for row in rig.store.scan_users())
