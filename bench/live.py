"""The live job, end to end: from Pub/Sub's emulator to Bigtable's, 20 segments, 2 campaigns; also on Beam's own runner.

    python -m bench.live [--seconds N] [--rate N] [--users N] [--stock-seconds N]

Everything is on this machine and shares its cores: both emulators, the publisher, the push and mail servers, the job,
and Prism. Every 50th event is answered by a push that carries when the event was made, so latency is from before the
publish call to when the push server had the push, and speed is what these pushes stand for.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter

from bench.live_load import MAIL_EVERY, PUSH_EVERY
from bench.live_site import ROOT, Job, Load, Site, wait_for

#: After how long without pushes, after a load, the rest counts as lost, in seconds.
REST = 15.0
#: How long a run that was killed may take until pushes come again.
RESTART = 60.0
#: How many users Beam's own runner gets: it makes some 26 known a second.
STOCK_USERS = 1_000
#: A push that is older is late: the job has not caught up.
LATE = 3.0


def come(job: Job, pushes: int, rest: float) -> None:
    """Wait until a number of pushes have come in all, or none has for `rest` seconds."""
    received = job.site.fcm.received
    seen, rested = len(received), time.time()
    while len(received) < pushes and time.time() < rested + rest:
        job.check()
        if len(received) != seen:
            seen, rested = len(received), time.time()
        time.sleep(0.1)


class Figures:
    """The figures of one load, by its pushes."""

    def __init__(self, job: Job, users: int, rate: float, seconds: float, first: int, *, rest: float = REST) -> None:
        site = job.site
        before, mails = len(site.fcm.received), len(site.smtp.received)
        self.memory = [job.memory()]
        total = int(rate * seconds)
        self.load = Load(job, users, rate, total, first).wait()
        self.memory.append(job.memory())
        expected = len(range(first, first + total, PUSH_EVERY))
        come(job, before + expected, rest)
        self.total, self.expected = total, expected
        self.pushes = sorted(site.pushes()[before:], key=lambda push: push[1])
        self.mails = len(site.smtp.received) - mails

    def show(self, title: str) -> float:
        """Print them; returns events a second."""
        if not self.pushes:
            print(f"{title}: nothing was sent")
            return 0.0
        started, ended = self.load["started"], self.load["ended"]
        within = [push for push in self.pushes if push[1] <= ended]
        speed = len(within) * PUSH_EVERY / (ended - started)
        late = sorted(came - made for made, came in self.pushes)
        quarter = (ended - started) / 4
        waits = [
            statistics.median([came - made for made, came in self.pushes if low <= made < low + quarter] or [0.0])
            for low in (started + quarter * part for part in range(4))
        ]
        published = self.load["published"] / (ended - started)
        print(f"{title}: published {published:,.0f}/s, applied {speed:,.0f} events/s over {ended - started:.0f} s")
        print(
            f"  pushes {len(self.pushes):,} of {self.expected:,}, mails {self.mails:,} of {self.total // MAIL_EVERY:,}"
        )
        print(f"  latency: median {late[len(late) // 2]:.2f} s, p99 {late[len(late) * 99 // 100]:.2f} s, ", end="")
        print(f"most {late[-1]:.2f} s; median by quarter {', '.join(f'{wait:.2f}' for wait in waits)} s")
        print(f"  the last push came {self.pushes[-1][1] - ended:.1f} s after the last event")
        for name, sums in zip(("start", "end"), self.memory, strict=True):
            print(
                f"  memory at the {name}: " + ", ".join(f"{key} {size / 2**20:,.0f} MB" for key, size in sums.items())
            )
        return speed


def ready(job: Job, users: int, rate: float) -> None:
    """Make every user known, and wait until they are."""
    Load(job, users, rate, users, 0, identify=True).wait()
    store = job.store()
    wait_for("the first user", store.has_users, job)
    began = time.time()
    done = wait_for("users", lambda: sum(1 for _ in store.scan_users()) >= users, job)
    store.close()
    print(f"{job.name}: {users:,} new users identified, {users / (done - began):,.0f}/s from the first on")


def sends(job: Job) -> None:
    """What became of every send, as the ledger has it."""
    store = job.store()
    states = Counter(
        " ".join(filter(None, (row.channel, row.state, row.detail[:20])))
        if row.state != "handed_off"
        else f"{row.channel} handed_off"
        for row in store.scan_ledger()
    )
    store.close()
    print("ledger: " + ", ".join(f"{state} {count:,}" for state, count in sorted(states.items())))


def recovery(job: Job, users: int, rate: float, first: int) -> None:
    """Kill the run under load, and print how long it takes until pushes are in time again."""
    site = job.site
    before = len(site.fcm.received)
    load = Load(job, users, rate, int(rate * 60), first)
    time.sleep(15.0)
    job.kill_run()
    killed = time.time()
    load.wait()
    expected = len(range(first, first + int(rate * 60), PUSH_EVERY))
    come(job, before + expected, RESTART)
    pushes = site.pushes()[before:]
    late = [came for made, came in pushes if came > killed and came - made > LATE]
    print(f"recovery: at {rate:,.0f}/s caught up {max(late, default=killed) - killed:.1f} s after SIGKILL; ", end="")
    print(f"{expected - len(pushes)} of {expected} pushes did not come (claimed then, left to `todoke sweep`)")


def waking(job: Job) -> None:
    """How fast `todoke wake` publishes, and how fast a new run brings users back from their rows."""
    store = job.store()
    waiting = sum(1 for row in store.scan_users() if row.deadline is not None or row.open_sends)
    job.start()
    wait_for("wakes", lambda: bool(store.read_control(1)), job)
    (oldest,) = store.read_control(1)
    # From the first that is done on: before that the run starts.
    began = wait_for("the first wake", lambda: [oldest] != store.read_control(1), job)
    ended = wait_for("hydration", lambda: not store.read_control(1), job)
    print(f"hydration: {waiting:,} users from their rows, {waiting / (ended - began):,.0f} rows/s, waking included")
    started = time.time()
    command = [sys.executable, "-m", "todoke", "wake", "--store", job.url, "--rate", "1000000"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    published = time.time() - started
    done = wait_for("wakes", lambda: not store.read_control(1), job) - started
    print(f"todoke wake: {waiting / published:,.0f} users/s published, {waiting / done:,.0f} users/s to the end of it")
    store.close()


def stock(site: Site, users: int, rate: float, seconds: float) -> float:
    """The same work on BundleBasedDirectRunner."""
    job = Job(site, "stock")
    job.start_stock()
    try:
        ready(job, users, rate)
        # At a rate beyond what it carries; what is left then is not waited for.
        return Figures(job, users, rate, seconds, users, rest=0.0).show("BundleBasedDirectRunner")
    finally:
        job.stop()


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--seconds", type=float, default=120.0)
    flags.add_argument("--rate", type=float, default=2_500.0)
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--stock-seconds", type=float, default=60.0)
    flags.add_argument("--stock-rate", type=float, default=400.0)
    flags.add_argument("--only", action="store_true", help="nothing but the sustained rate")
    given = flags.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    site = Site()
    job = Job(site, "todoke")
    try:
        job.start()
        ready(job, given.users, given.rate)
        first = given.users
        Figures(job, given.users, given.rate, 5.0, first).show("warm-up")
        first += 10 * int(given.rate)
        speed = Figures(job, given.users, given.rate, given.seconds, first).show("todoke run")
        sends(job)
        if given.only:
            return
        first += int(given.rate * given.seconds)
        half = min(60.0, given.seconds)
        Figures(job, given.users, given.rate / 2, half, first).show("todoke run, half the rate")
        first += int(given.rate * half)
        recovery(job, given.users, given.rate / 2, first)
        job.stop()
        waking(job)
        job.stop()
        beam = stock(site, min(given.users, STOCK_USERS), given.stock_rate, given.stock_seconds)
        print(f"ratio: {speed / beam:.1f}" if beam else "ratio: the other carried nothing")
    finally:
        job.stop()
        site.close()


if __name__ == "__main__":
    main()
