"""The proofs: `todoke run` live, from the Pub/Sub emulator into the Bigtable emulator, against an oracle.

    python -m bench.reliability kills|store|push|parity [--queue] [--events N] [--kills N] [--rate N] [--seed N]

`kills` kills all its processes at random moments, `store` lets the store refuse writes for 30 s, `push` takes the push
server away for 30 s; `parity` runs the same calls over a file, too, and compares. docs/reliability.md says what is
checked. With `--queue` the job reads an embedded queue, into SQLite. Ends with 1 if anything is not as it must be, and
keeps its folder then.
"""

import argparse
import random
import shutil
import signal
import statistics
import sys
import time
from itertools import pairwise

import grpc

from bench.reliability.checks import Check, check_all
from bench.reliability.parity import compare
from bench.reliability.rig import Rig, publishing, rig
from bench.reliability.stream import STEP, stream
from bench.reliability.watch import Progress, settle, wait_for

from flaky import refuse  # isort: skip - on the path since `rig`

#: The length of an outage, in seconds.
OUTAGE = 30.0
_WRITES = ("MutateRows", "CheckAndMutateRow")


def main() -> None:
    """Run one proof."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("proof", choices=("kills", "store", "push", "parity"))
    flags.add_argument("--queue", action="store_true", help="from an embedded queue into SQLite")
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--kills", type=int, default=20)
    flags.add_argument("--rate", type=float, default=50.0, help="calls a second")
    flags.add_argument("--seed", type=int, default=7)
    given = flags.parse_args()
    if given.queue and given.proof == "store":
        flags.error("store: nothing stands before SQLite that could refuse")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing that was started outlives this
    started = time.monotonic()
    seconds = given.events / given.rate
    with rig(refusable=given.proof == "store", queue=given.queue) as made:
        begin = time.time_ns() // 1000 + 15_000_000
        chance = random.Random(given.seed)
        moments = sorted(chance.random() for _ in range(given.kills))
        calls = stream(given.events, seconds, begin, given.seed, step=STEP if given.proof == "parity" else None)
        progress = Progress(made, calls, begin)
        made.job.start()
        say(f"{len(calls):,} calls in {seconds:.0f} s; the log is {made.job.log}")
        with publishing(made.broker, calls, begin, progress.note) as publisher:
            until = begin / 1e6 + seconds
            milestones = {
                "kills": lambda: kill(made, progress, [begin / 1e6 + seconds * at for at in moments]),
                "store": lambda: store_refuses(made, progress, (begin / 1e6 + until) / 2),
                "push": lambda: push_is_down(made, progress, (begin / 1e6 + until) / 2),
                "parity": list,
            }[given.proof]()
            while publisher.is_alive():
                progress.look()
                made.job.check()
                time.sleep(0.5)
        swept = settle(made, progress, say)
        checks = [*milestones, *_recovery(progress), *check_all(made, calls, progress)]
        if given.proof == "parity":
            checks += [_order(progress), Check("seen so many s after the begin", f"{progress.behind_at:.0f}")]
            checks += compare(made, calls)
        print_checks(checks)
        print(f"\ntodoke sweep said:\n{swept}")
        print(f"{time.monotonic() - started:.0f} s in all, seed {given.seed}")
        wrong = [check for check in checks if check.wrong]
    if wrong:
        print(f"{len(wrong)} figures are not as they must be; the log is {made.job.log}", file=sys.stderr)
        raise SystemExit(1)
    shutil.rmtree(made.folder)


def kill(made: Rig, progress: Progress, moments: list[float]) -> list[Check]:
    """Kill the process tree at these moments, and start it again each time."""
    processes = []
    for number, moment in enumerate(moments):
        _watch_until(made, progress, moment)
        processes.append(made.job.kill())
        progress.milestone(number)
        say(f"kill {number + 1}: {processes[-1]} processes; {progress.published:,} calls published")
        made.job.start()
    least = min((later - earlier for earlier, later in pairwise(moments)), default=0.0)
    return [
        Check("kills of the whole tree", len(moments)),
        Check("processes killed", sum(processes)),
        Check("the least time between two kills, s", f"{least:.1f}"),
    ]


def store_refuses(made: Rig, progress: Progress, moment: float) -> list[Check]:
    """Refuse every write for a while."""
    tables = made.tables
    assert tables is not None
    _watch_until(made, progress, moment)
    for method in _WRITES:
        tables.always(method, refuse(grpc.StatusCode.UNAVAILABLE))
    say("the store refuses writes")
    progress.milestone(0)
    before = sum(tables.calls[method] for method in _WRITES)
    time.sleep(OUTAGE)
    made.job.check()
    refused = sum(tables.calls[method] for method in _WRITES) - before
    for method in _WRITES:
        tables.always(method, None)
    say("the store takes writes")
    log = made.job.log.read_text(errors="replace")
    return [Check("writes refused in 30 s", refused), Check("restarts by the supervisor", log.count("; restart "))]


def push_is_down(made: Rig, progress: Progress, moment: float) -> list[Check]:
    """Take the push server away for a while, and bring it back on the same port."""
    _watch_until(made, progress, moment)
    made.fcm.go_down()
    say("the push server is down")
    progress.milestone(0)
    time.sleep(OUTAGE)
    waiting = sum(row.detail.startswith("retry: ") for row in made.store.scan_ledger())
    before = len(made.fcm.received)
    made.fcm.come_back()
    say("the push server is back")
    back = time.monotonic()
    wait_for(
        lambda: not any(row.detail.startswith("retry: ") for row in made.store.scan_ledger()), made, "sends went out"
    )
    return [
        Check("pushes that waited at the end of 30 s", waiting, [] if waiting else ["none waited"]),
        Check("pushes in the time until all of them were out", len(made.fcm.received) - before),
        Check("s until all of them were out", f"{time.monotonic() - back:.1f}"),
    ]


def _order(progress: Progress) -> Check:
    """Whether each person's calls were applied in the order in which they arrived, which is compared then."""
    behind = progress.behind + progress.blind
    late = [] if behind < STEP else [f"calls of one person are {STEP:.0f} s apart, so their order is not certain"]
    return Check("s that the job was behind, at most", f"{behind:.1f}", late)


def _watch_until(made: Rig, progress: Progress, moment: float) -> None:
    while (left := moment - time.time()) > 0:
        made.job.check()
        progress.look()
        time.sleep(min(0.5, left))


def _recovery(progress: Progress) -> list[Check]:
    times = sorted(progress.caught_up.values())
    if not times:
        return []
    return [
        Check("s from the cut until all published before it was applied, least", f"{times[0]:.1f}"),
        Check("the same, median", f"{statistics.median(times):.1f}"),
        Check("the same, most", f"{times[-1]:.1f}"),
    ]


def print_checks(checks: list[Check]) -> None:
    """The table of figures, and what is wrong with them."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        figure = f"{check.figure:,}" if isinstance(check.figure, int) else check.figure
        print(f"{check.name:{width}} {figure:>10}{'  WRONG' if check.wrong else ''}")
        for each in check.wrong:
            print(f"    {each}")


def say(text: str) -> None:
    """Print a line about the progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
