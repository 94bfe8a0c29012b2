"""A live job on a Flink cluster, from the Pub/Sub emulator into the Bigtable emulator, while its processes are killed.

    python -m bench.flink_live [--events N] [--kills N] [--worker-kills N] [--rate N] [--checkpoints DURATION]
                                [--idle MINUTES]

TaskManagers and Python workers get SIGKILL at random moments, each after a checkpoint that was completed since the kill
before. Then all is compared with what was published, with the oracle and with what the servers took, as the proofs of
`bench.reliability` do. It ends with 1 if anything is not as it must be. docs/engines.md has figures.

The cluster is in a network namespace, and so is all that it talks to: this program starts itself again in there, and
that one asks for kills.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import AcknowledgeRequest, PullRequest, PullResponse

from bench.reliability.__main__ import print_checks, say
from bench.reliability.brokers import PROJECT, PubsubBroker
from bench.reliability.checks import Check, check_all
from bench.reliability.rig import DEFINITIONS, Rig, publishing
from bench.reliability.stream import stream
from bench.reliability.watch import Progress, wait_for
from todoke.emulators import find_bigtable, find_pubsub
from tools.flink import FLINK, Cluster, FlinkMissing, cluster
from transforms.events.accounted.deadline import needed
from transforms.segments.values import duration
from transforms.storage.rows import LedgerState

from emulators import Emulator  # isort: skip - on the path since `rig`

#: Where the job's processes find the emulators: in the namespace of a cluster every port is free.
PUBSUB, BIGTABLE, BEHIND = "127.0.0.1:8085", "127.0.0.1:8086", "127.0.0.1:8087"
REST = "http://localhost:8081"
#: TaskManagers, of which one is free to take over, and how long a job may take to begin, in seconds.
TASK_MANAGERS, BEGIN_SECONDS = 3, 300.0
BESIDE_EVENTS = ("control", "dead")


def main() -> None:
    """Start the cluster, and this program again beside it."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--kills", type=int, default=10, help="of TaskManagers")
    flags.add_argument("--worker-kills", type=int, default=2, help="of Python workers")
    flags.add_argument("--rate", type=float, default=100.0, help="calls a second")
    flags.add_argument("--checkpoints", default="2s")
    flags.add_argument("--idle", type=int, default=0, help="minutes in which nothing comes, in the end")
    flags.add_argument("--seed", type=int, default=7)
    flags.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)
    given = flags.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing that was started outlives this
    if given.beside:
        prove(given)
        return
    os.environ |= {"PUBSUB_EMULATOR_HOST": PUBSUB, "BIGTABLE_EMULATOR_HOST": BIGTABLE}
    try:
        with cluster(TASK_MANAGERS, spare=1) as made:
            sys.exit(beside(made, [sys.executable, "-m", "bench.flink_live", *sys.argv[1:], "--beside"]))
    except FlinkMissing as missing:
        sys.exit(str(missing))


def beside(made: Cluster, command: list[str]) -> int:
    """Run a command beside a cluster, and kill what its lines `@kill …` ask for; returns its exit code."""
    chance = random.Random(1)
    process = subprocess.Popen(made.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if not line.startswith("@kill "):
                print(line, end="", flush=True)
                continue
            if line.split()[1] == "worker":
                made.kill_worker(chance.choice(made.workers()))
            else:
                made.kill(chance.choice(busy(made)))
            process.stdin.write("done\n")
            process.stdin.flush()
            if line.split()[1] != "worker":
                made.start_task_manager()
        return process.wait()
    finally:
        process.kill()


def busy(made: Cluster) -> list[str]:
    """The TaskManagers that run tasks."""
    full = [each["id"] for each in made.rest("/taskmanagers")["taskmanagers"] if not each["freeSlots"]]
    logs = {name: (made.folder / f"{name}.log").read_text("utf-8", errors="replace") for name in made.task_managers()}
    return [name for name, log in logs.items() if any(each in log for each in full)] or made.task_managers()


class Site(Rig):
    """What the job talks to, in the cluster's namespace."""

    broker: "Deliveries"

    def __init__(self, folder: Path, checkpoints: str, deadline: int) -> None:
        super().__init__(folder, Deliveries(BEHIND, deadline), f"bigtable:{PROJECT}/flink")
        publisher = PublisherClient()
        with SubscriberClient() as subscriber:
            for name in BESIDE_EVENTS:
                topic = publisher.topic_path(PROJECT, name)
                publisher.create_topic(name=topic)
                place = f"projects/{PROJECT}/subscriptions/{name}"
                subscriber.create_subscription(name=place, topic=topic, ack_deadline_seconds=deadline)
        self.control_topic = f"pubsub:{publisher.topic_path(PROJECT, 'control')}"
        flags = self.flags(self.broker.events, self.url) | {
            "--control": f"pubsub:projects/{PROJECT}/subscriptions/control",
            "--control-topic": self.control_topic,
            "--dead-letters": f"pubsub:{publisher.topic_path(PROJECT, 'dead')}",
            "--flink": FLINK,
            "--read": "accounted",
            "--checkpoints": checkpoints,
            "--parallelism": TASK_MANAGERS - 1,
        }
        self.job: FlinkJob = FlinkJob(flags, folder / "log.txt")  # type: ignore[assignment]


class Deliveries(PubsubBroker):
    """The Pub/Sub emulator as the cluster sees it; deliveries of calls are noted, and what is acknowledged.

    Attributes:
      acknowledged: the broker's ids of the calls that are.
    """

    def __init__(self, host: str, deadline: int) -> None:
        super().__init__(host, "events", port=int(PUBSUB.partition(":")[2]), deadline=deadline)
        self.acknowledged: set[str] = set()
        self._ids: dict[str, str] = {}
        self.proxy.always("Acknowledge", self._acknowledge)

    def _pull(self, requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        calls = PullRequest.pb(PullRequest.deserialize(said[0])).subscription.endswith("/events")
        for answer in super()._pull(iter(said), upstream, context) if calls else upstream(iter(said)):
            if calls:
                for received in PullResponse.pb(PullResponse.deserialize(answer)).received_messages:
                    self._ids[received.ack_id] = received.message.message_id
            yield answer

    def _acknowledge(self, requests: Iterable[bytes], upstream: Any, _: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        yield from upstream(iter(said))
        for request in said:
            ack_ids = AcknowledgeRequest.pb(AcknowledgeRequest.deserialize(request)).ack_ids
            self.acknowledged |= {self._ids[ack_id] for ack_id in ack_ids if ack_id in self._ids}


class FlinkJob:
    """`todoke run` as a user starts it on a cluster, and what Flink says of it."""

    def __init__(self, flags: dict[str, Any], log: Path) -> None:
        given = [str(part) for flag in flags.items() for part in flag]
        self._command = [sys.executable, "-m", "todoke", "run", *given]
        self.log = log
        self._id = ""

    def start(self) -> None:
        """Submit the job, and wait until a checkpoint is completed."""
        with self.log.open("ab") as log:
            subprocess.run(self._command, stdout=log, stderr=log, check=True)
        until = time.monotonic() + BEGIN_SECONDS
        while not self._id:
            if time.monotonic() > until:
                raise TimeoutError(f"the job does not run: {self.tail()}")
            time.sleep(0.5)
            jobs = _asked("/jobs/overview")["jobs"]
            self._id = next((each["jid"] for each in jobs if each["state"] == "RUNNING"), "")
        self.await_checkpoint()

    def await_checkpoint(self) -> None:
        """Wait until one more checkpoint is completed than now."""
        before, until = self.checkpoints(), time.monotonic() + BEGIN_SECONDS
        while self.checkpoints() <= before:
            if time.monotonic() > until:
                raise TimeoutError(f"no checkpoint: {self.tail()}")
            time.sleep(0.5)

    def checkpoints(self) -> int:
        """How many were completed."""
        return int(self.figures()["counts"]["completed"])

    def figures(self) -> dict[str, Any]:
        """What Flink says of checkpoints."""
        found: dict[str, Any] = _asked(f"/jobs/{self._id}/checkpoints")
        return found

    def check(self) -> None:
        """Raises RuntimeError if the job has ended."""
        state = _asked(f"/jobs/{self._id}")["state"]
        if state not in ("RUNNING", "RESTARTING", "FAILING"):
            raise RuntimeError(f"the job is {state}: {self.tail()}")

    def tail(self) -> str:
        """What made it fail the last time, or the end of its log."""
        said = _asked(f"/jobs/{self._id}/exceptions")["root-exception"] if self._id else None
        return str(said or self.log.read_text(errors="replace"))[-3000:]

    def failures(self) -> Iterator[str]:
        """When and by what it was made to go back, the oldest first; Flink keeps the last 16."""
        history = _asked(f"/jobs/{self._id}/exceptions?maxExceptions=16")["exceptionHistory"]["entries"]
        for each in reversed(history):
            what = str(each["stacktrace"]).partition("\n")[0][:300]
            yield f"{time.strftime('%H:%M:%S', time.gmtime(each['timestamp'] / 1000))} {what}"

    def stop(self) -> None:
        """Cancel it."""
        if self._id:
            with suppress(OSError):
                asked = urllib.request.Request(f"{REST}/jobs/{self._id}", method="PATCH")
                urllib.request.urlopen(asked, timeout=60).close()


def _asked(path: str) -> Any:
    with urllib.request.urlopen(f"{REST}{path}", timeout=60) as answer:
        return json.load(answer)


def prove(given: argparse.Namespace) -> None:
    """Publish, kill, wait until nothing is left to do, and compare."""
    pubsub, bigtable = find_pubsub(), find_bigtable()
    if pubsub is None or bigtable is None:
        sys.exit("the emulators are missing: make emulator")
    ports = {name: at.partition(":")[2] for name, at in (("pubsub", BEHIND), ("bigtable", BIGTABLE))}
    broker = Emulator(["java", "-jar", pubsub, "--host=127.0.0.1", f"--port={ports['pubsub']}"], BEHIND)
    tables = Emulator([bigtable, "-host", "127.0.0.1", "-port", ports["bigtable"]], BIGTABLE)
    folder = Path(tempfile.mkdtemp(prefix="flink-live-"))
    seconds = duration(given.checkpoints) / 1e6
    site = Site(folder, given.checkpoints, int(needed(seconds)) + 1)
    started = time.monotonic()
    try:
        site.job.start()
        say(f"the job runs; its log is {site.job.log}")
        begin = time.time_ns() // 1000 + 2_000_000
        calls = stream(given.events, given.events / given.rate, begin, given.seed)
        progress = Progress(site, calls, begin)
        with publishing(site.broker, calls, begin, progress.note) as publisher:
            kills = kill_at_random(given, site, progress)
            while publisher.is_alive():
                progress.look()
                site.job.check()
                time.sleep(1)
        _settle(site, progress)
        idle = stay_idle(site, given.idle)
        figures = site.job.figures()
        for failure in site.job.failures():
            print(f"went back: {failure}")
        checks = [*kills, *_checkpoints(figures), *idle, *_acknowledged(site), *check_all(site, calls, progress)]
        print_checks(checks)
        print(f"{time.monotonic() - started:.0f} s in all, seed {given.seed}, checkpoints {given.checkpoints} apart")
        wrong = [check for check in checks if check.wrong]
        if wrong:
            keep(site)
    finally:
        site.close()
        tables.stop()
        broker.stop()
    if wrong:
        sys.exit(f"{len(wrong)} figures are not as they must be; the log is {site.job.log}")
    shutil.rmtree(folder)


def kill_at_random(given: argparse.Namespace, site: Site, progress: Progress) -> list[Check]:
    """Ask for kills, each some time after a checkpoint that was completed since the one before."""
    chance = random.Random(given.seed)
    whom = ["task-manager"] * given.kills + ["worker"] * given.worker_kills
    chance.shuffle(whom)
    pause = given.events / given.rate / (len(whom) + 1)
    for number, each in enumerate(whom):
        site.job.await_checkpoint()
        until = time.monotonic() + chance.uniform(0, pause)
        while time.monotonic() < until:
            progress.look()
            time.sleep(0.5)
        before = _restarts(site)
        print(f"@kill {each}", flush=True)
        sys.stdin.readline()
        progress.milestone(number)
        say(f"kill {number + 1}: a {each}; {progress.published:,} calls published")
        wait_for(lambda before=before: _restarts(site) > before, site, "the job goes back", pause=0.5)
    return [Check("TaskManagers killed", given.kills), Check("Python workers killed", given.worker_kills)]


def _restarts(site: Site) -> int:
    return int(site.job.figures()["counts"]["restored"])


def _settle(site: Site, progress: Progress) -> None:
    """Wait until every call is applied and nothing is left to do; sweep what kills have left claimed."""
    wait_for(lambda: progress.look() == 0, site, "every call is applied")
    say("all calls are applied")
    wait_for(lambda: len(site.broker.acknowledged) == len(site.broker.deliveries), site, "all calls are acknowledged")
    say("all calls are acknowledged")
    wait_for(lambda: _at_rest(site), site, "the job is at rest", pause=3.0)
    claimed = [row for row in site.store.scan_ledger() if row.state == LedgerState.CLAIMED]
    if claimed:
        lapsed = max(row.lease for row in claimed) / 1e6 + 1
        say(f"{len(claimed)} claims were left behind; their leases end in {lapsed - time.time():.0f} s")
        time.sleep(max(0.0, lapsed - time.time()))
    command = [sys.executable, "-m", "todoke", "sweep", "--store", site.url, "--definitions", str(DEFINITIONS)]
    subprocess.run([*command, "--control-topic", site.control_topic], capture_output=True, check=True)
    wait_for(
        lambda: not sum(row.open_sends for row in site.store.scan_users()), site, "every send is closed", pause=3.0
    )


def _at_rest(site: Site) -> bool:
    """No deadline is nearer than an hour, and the only open sends are those of claims."""
    rows = list(site.store.scan_users())
    claimed = sum(row.state == LedgerState.CLAIMED for row in site.store.scan_ledger())
    soon = time.time_ns() // 1000 + 3600 * 1_000_000
    return all(row.deadline is None or row.deadline > soon for row in rows) and (
        sum(row.open_sends for row in rows) == claimed
    )


def keep(site: Site) -> None:
    """Write down what the store knows, since it ends with this program."""
    encoder = msgspec.json.Encoder(enc_hook=repr)
    for name, rows in (("ledger", site.store.scan_ledger()), ("users", site.store.scan_users())):
        (site.folder / f"{name}.jsonl").write_bytes(encoder.encode_lines(rows))


def stay_idle(site: Site, minutes: int) -> list[Check]:
    """Publish nothing for so long; what checkpoints weigh in each minute shows whether state grows by itself."""
    sizes: list[int] = []
    for _ in range(minutes):
        time.sleep(60)
        site.job.check()
        sizes.append(_size(site.job.figures()))
        say(f"idle for {len(sizes)} min: a checkpoint has {sizes[-1]:,} bytes")
    if not sizes:
        return []
    return [
        Check(f"bytes of a checkpoint, {name} {minutes} idle minutes", value)
        for name, value in (("least in", min(sizes)), ("most in", max(sizes)), ("at the end of", sizes[-1]))
    ]


def _size(figures: dict[str, Any]) -> int:
    latest = (figures.get("latest") or {}).get("completed") or {}
    return int(latest.get("state_size", 0))


def _checkpoints(figures: dict[str, Any]) -> list[Check]:
    return [
        Check("checkpoints completed", figures["counts"]["completed"]),
        Check("times the job went back", figures["counts"]["restored"]),
        Check("bytes of the last checkpoint", _size(figures)),
    ]


def _acknowledged(site: Site) -> list[Check]:
    return [Check("calls acknowledged", len(site.broker.acknowledged))]


if __name__ == "__main__":
    main()
