"""Whether a live job's memory stays flat: one step of users by shard, over millions of events.

    python -m bench.soak [--events N] [--users N]

Each event moves its user's deadlines, and there are more users than are kept: what is measured is the step itself, with
its rows in SQLite, and its timers fire. A line says the process's memory each 100,000 events; the exit code is 1 if it
grew by more than a tenth over the second half.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.utils.timestamp import Timestamp

from transforms.events.event import Event
from transforms.segments.values import DAY
from transforms.users.live.shard import encode_parts, shard_of
from transforms.users.live.transforms import AdvanceLive
from transforms.users.user import encode_inputs

DEFINITIONS = (
    (
        "soak.yaml",
        """segments:
  active: {owner: growth, members: {event: Order Completed, within: 90d}}
  lapsing: {owner: growth, members: {event: Order Completed, last: {older_than: 30d}}}
  often: {owner: growth, members: {event: Order Completed, within: 7d, count: {at_least: 3}}}
""",
    ),
)
START = 1_772_323_200_000_000  # 2026-03-01
#: How many events come together, and how many come between two lines.
TOGETHER, LINE = 4_000, 100_000
#: From the first event to the last.
LENGTH = 120 * DAY


class _Timer:
    """When a shard is to be woken."""

    def __init__(self) -> None:
        self.at: int | None = None

    def set(self, at: Timestamp) -> None:
        self.at = at.micros

    def clear(self) -> None:
        self.at = None


class _Measured(NamedTuple):
    events: int
    seconds: float
    megabytes: float


def resident() -> float:
    """Memory that this process has, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def soak(events: int, users: int, store: str) -> Iterator[_Measured]:
    """Apply events as the live step does, and print now and then how much memory that takes."""
    step: Any = AdvanceLive(DEFINITIONS, store).step()
    step.setup()
    chance, timers, started = random.Random(7), {str(number): _Timer() for number in range(16)}, time.monotonic()
    for first in range(0, events, TOGETHER):
        batch: dict[str, list[tuple[str, bytes]]] = {}
        for number in range(first, min(first + TOGETHER, events)):
            # Half of the events are of a hundredth of the users.
            user = f"user-{chance.randrange(users // 100 if number % 2 else users)}"
            at = START + number * (LENGTH // events)
            event = Event(f"m{number}", "track", "Order Completed", at, at, user, properties={"revenue": 9})
            batch.setdefault(shard_of(user), []).append((user, encode_inputs([event])))
        for shard, parts in batch.items():
            bundle(step, partial(step.process, (shard, encode_parts(parts)), Timestamp(0), timers[shard]))
        for shard, timer in timers.items():
            while timer.at is not None and timer.at <= at:
                bundle(step, partial(step.wake, shard, Timestamp(micros=timer.at), timer))
        if not (first + TOGETHER) % LINE:
            yield _Measured(first + TOGETHER, time.monotonic() - started, resident())
    step.teardown()


def bundle(step: Any, work: Callable[[], None]) -> None:
    """Do some of a step's work as a bundle of its own."""
    step.start_bundle()
    work()
    for _ in step.finish_bundle():
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    asked = parser.parse_args()
    lines: list[_Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        for line in soak(asked.events, asked.users, f"sqlite:{folder}/store.db"):
            lines.append(line)
            print(f"{line.events:>10,} events  {line.seconds:6.0f} s  {line.megabytes:6.0f} MB", flush=True)
    if not lines:
        return 0
    grown = lines[-1].megabytes / lines[len(lines) // 2].megabytes - 1
    print(f"memory grew by {grown:.1%} over the second half")
    return int(grown > 0.1)


if __name__ == "__main__":
    sys.exit(main())
