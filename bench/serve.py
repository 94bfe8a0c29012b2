"""The whole of `todoke serve`: calls over HTTP, segments, and pushes to a server on this machine, end to end.

    python -m bench.serve [--rate N] [--seconds N] [--half-seconds N] [--users N] [--calls N]

20 segments and two campaigns. Every 50th call is answered by a push that carries when its request was due: speed is
what these pushes stand for, latency is from then to when the push server had the push. First at `--rate`, then at half
of it. The load is a process of its own, and so is the push server, which is this one. All share the cores.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.live_load import PUSH_EVERY
from bench.live_site import CAMPAIGNS
from bench.peers import DEFINITIONS
from transforms.channels.push.local_fcm import LocalFcm

ROOT = Path(__file__).parent.parent
#: After how long without pushes the rest counts as lost; how long a start may take, in seconds.
REST, PATIENCE = 20.0, 120.0


class ServedSite:
    """A serve that runs, and the push server that it sends to."""

    def __init__(self, folder: Path) -> None:
        self.fcm = LocalFcm.start()
        (folder / "shop.yaml").write_text(DEFINITIONS.read_text().partition("campaigns:")[0] + CAMPAIGNS)
        self._out = folder / "out.txt"
        command = [sys.executable, "-m", "todoke", "serve", str(folder / "shop.yaml"), "--data", str(folder / "data")]
        command += ["--listen", "127.0.0.1:0", "--push", f"fcm:demo-project@{self.fcm.url}"]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, cwd=ROOT, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while "ready after" not in (said := self._out.read_text()):
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit("it did not start")
            time.sleep(0.1)
        self.port = re.findall(r"send to +\S+:(\d+)", said)[0]
        self.key = re.findall(r"write key +(\S+)", said)[0]

    def load(self, *flags: object) -> dict[str, Any]:
        """Send; returns what came of it."""
        command = [sys.executable, "-m", "bench.serve_load", self.port, self.key, *map(str, flags)]
        return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout))

    def settled(self) -> int:
        """Wait until no push has come for a while; returns how many have come in all."""
        seen, rested = len(self.fcm.received), time.time()
        while time.time() < rested + 3.0:
            if len(self.fcm.received) != seen:
                seen, rested = len(self.fcm.received), time.time()
            time.sleep(0.1)
        return seen

    def come(self, pushes: int) -> None:
        """Wait until so many pushes have come, or none has for a while."""
        seen, rested = -1, time.time()
        while len(self.fcm.received) < pushes and time.time() < rested + REST:
            if len(self.fcm.received) != seen:
                seen, rested = len(self.fcm.received), time.time()
            time.sleep(0.05)

    def used(self) -> dict[str, tuple[float, int]]:
        """Processor seconds and resident bytes, by part."""
        found: dict[str, tuple[float, int]] = {}
        for each in psutil.Process(self.process.pid).children(recursive=True):
            words = " ".join(each.cmdline())
            name = "prism" if "prism" in each.name() else re.findall(r"--part (\w+)", words)[-1:] or "others"
            name = name if isinstance(name, str) else name[0]
            times, memory = each.cpu_times(), each.memory_info().rss
            before = found.get(name, (0.0, 0))
            found[name] = before[0] + times.user + times.system, before[1] + memory
        return found

    def ended(self) -> str:
        """How sends and calls ended, as the page says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status.json") as answer:
            found = json.load(answer)
        return ", ".join(f"{name} {found[name]}" for name in ("accounts", "sends", "suppressed", "refused"))

    def stop(self) -> float:
        """Ctrl-C; returns how long it took, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return time.monotonic() - began


@contextmanager
def site() -> Iterator[ServedSite]:
    """A serve in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        served = ServedSite(Path(folder))
        try:
            yield served
            print(f"Ctrl-C ended it in {served.stop():.1f} s")
        finally:
            served.process.kill()
            served.fcm.stop()


def measure(served: ServedSite, given: argparse.Namespace, rate: float, seconds: float, first: int) -> int:
    """One load, and its figures; returns a number for the first call of the next one."""
    before, used = served.settled(), served.used()
    flags = ("--users", given.users, "--calls", given.calls, "--rate", rate, "--seconds", seconds, "--first", first)
    found = served.load(*flags)
    after = served.used()
    total = found["calls"]
    expected = len([number for number in range(first, first + total) if number % PUSH_EVERY == 0])
    served.come(before + expected)
    received = served.fcm.received[before : len(served.fcm.times)]
    made = [int(message["data"]["published"]) / 1e6 for message in received]
    pairs = sorted(zip(made, served.fcm.times[before:], strict=False), key=lambda pair: pair[1])
    late = sorted(came - made for made, came in pairs)
    ended = found["started"] + seconds
    applied = PUSH_EVERY * sum(came <= ended for _, came in pairs) / seconds
    print(f"{rate:,.0f} calls/s for {seconds:.0f} s: answered {total / seconds:,.0f}/s {found['statuses']}, ", end="")
    print(f"handed off what stands for {applied:,.0f}/s")
    print(f"  answers: median {1000 * found['p50']:.0f} ms, p99 {1000 * found['p99']:.0f} ms, ", end="")
    print(f"most {1000 * found['most']:.0f} ms")
    print(
        f"  pushes {len(pairs):,} of {expected:,}; from request to hand-off: median {late[len(late) // 2]:.2f} s, ",
        end="",
    )
    print(f"p99 {late[len(late) * 99 // 100]:.2f} s, most {late[-1]:.2f} s")
    print(f"  the last push came {pairs[-1][1] - ended:.1f} s after the last call")
    for name, (spent, memory) in sorted(after.items()):
        share = (spent - used.get(name, (0.0, 0))[0]) / (found["ended"] - found["started"])
        print(f"  {name}: {share:.0%} of a core, {memory / 2**20:,.0f} MB")
    return (first + total) // PUSH_EVERY * PUSH_EVERY + PUSH_EVERY


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--rate", type=float, default=1_200.0)
    flags.add_argument("--seconds", type=float, default=120.0)
    flags.add_argument("--half-seconds", type=float, default=60.0)
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--calls", type=int, default=10, help="in a request")
    given = flags.parse_args()
    with site() as served:
        known = ("--users", given.users, "--calls", 50, "--rate", 1_000, "--seconds", 1.5 * given.users / 1_000)
        served.load(*known, "--identify")
        first = measure(served, given, given.rate / 2, 5.0, 100_000)  # warms up
        first = measure(served, given, given.rate, given.seconds, first)
        measure(served, given, given.rate / 2, given.half_seconds, first)
        time.sleep(11.0)  # counts are written every ten seconds
        print(served.ended())


if __name__ == "__main__":
    main()
