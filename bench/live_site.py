"""The surroundings of a live measurement: emulators, servers that note when messages came, and the job's processes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from bench.peers import DEFINITIONS
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.storage.store import Store

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from emulators import start_bigtable, start_pubsub

__all__ = ["Job", "Load", "Site", "wait_for"]

ROOT = Path(__file__).parent.parent
#: How long to wait for anything, in seconds: longer than it takes.
PATIENCE = 300.0

#: Beside the segments of bench/definitions.yaml. A push carries when its event was made.
CAMPAIGNS = """
campaigns:
  offer:
    owner: bench
    trigger: {event: Offer Accepted}
    steps: [{send: offer_push}]
    reenter: always
    consent: marketing
  receipt:
    owner: bench
    transactional: true
    trigger: {event: Receipt Asked}
    steps: [{send: receipt_mail}]
    reenter: always
messages:
  offer_push:
    {channel: push, title: "Your offer", body: "It is yours", data: {published: "{{ event.published }}"}}
  receipt_mail: {channel: email, subject: "Your receipt", text: "{{ event.revenue }} well spent"}
"""


class Site:
    """The emulators and servers of one measurement. Close it."""

    def __init__(self) -> None:
        self.pubsub, self.bigtable = start_pubsub(), start_bigtable()
        os.environ["PUBSUB_EMULATOR_HOST"] = self.pubsub.host
        os.environ["BIGTABLE_EMULATOR_HOST"] = self.bigtable.host
        self.fcm, self.smtp = LocalFcm.start(), LocalSmtp.start()
        self._folder = tempfile.TemporaryDirectory(prefix="todoke-bench-")
        self.folder = Path(self._folder.name)
        self.definitions = self.folder / "live.yaml"
        self.definitions.write_text(DEFINITIONS.read_text().partition("campaigns:")[0] + CAMPAIGNS)

    def close(self) -> None:
        """Stop everything, and remove the folder."""
        self.smtp.stop()
        self.fcm.stop()
        self.bigtable.stop()
        self.pubsub.stop()
        self._folder.cleanup()

    def pushes(self) -> list[tuple[float, float]]:
        """For each push, when its event was made and when the push came, in seconds since the epoch."""
        received = self.fcm.received[: len(self.fcm.times)]
        made = (int(message["data"]["published"]) / 1e6 for message in received)
        return list(zip(made, self.fcm.times, strict=False))


class Job:
    """A named job with a topic, a subscription and a Bigtable instance of its own."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.project = f"bench-{name}"
        self.topic = self._channel("events")
        self.url = f"bigtable:{self.project}/live"
        self.log = site.folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def _channel(self, name: str) -> str:
        topic = f"projects/{self.project}/topics/{name}"
        PublisherClient().create_topic(name=topic)
        subscription = f"projects/{self.project}/subscriptions/{name}"
        SubscriberClient().create_subscription(name=subscription, topic=topic, ack_deadline_seconds=10)
        return topic

    def start(self, *flags: str, module: str = "todoke", arguments: Sequence[str] = ("run",)) -> None:
        """Start it, with more flags, or with another module than the command."""
        site = self.site
        command = [sys.executable, "-m", module, *arguments, "--definitions", str(site.definitions)]
        command += ["--events", f"pubsub:projects/{self.project}/subscriptions/events", "--store", self.url]
        command += ["--push", f"fcm:demo-project@{site.fcm.url}", "--email", site.smtp.url]
        command += ["--outbox", str(site.folder / f"outbox-{self.name}"), *flags]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)

    def start_stock(self) -> None:
        """On Beam's BundleBasedDirectRunner, with Beam's own source."""
        topic = self._channel("control")
        control = f"pubsub:projects/{self.project}/subscriptions/control"
        flags = ("--control", control, "--control-topic", f"pubsub:{topic}", "--runner=BundleBasedDirectRunner")
        self.start(*flags, module="bench.live_stock", arguments=())

    def store(self) -> Store:
        """Its store, opened anew."""
        return open_store(self.url)

    def memory(self) -> dict[str, int]:
        """Resident bytes of the job's processes, summed by name: Python's and Prism's."""
        assert self._process is not None
        top = psutil.Process(self._process.pid)
        sums: dict[str, int] = {}
        for process in (top, *top.children(recursive=True)):
            name = "prism" if "prism" in process.name() else "python"
            sums[name] = sums.get(name, 0) + process.memory_info().rss
        return sums

    def kill_run(self) -> None:
        """SIGKILL the process that does the work, and leave its supervisor alone."""
        assert self._process is not None
        for process in psutil.Process(self._process.pid).children():
            if "--supervised" in process.cmdline():
                process.kill()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after a while."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(90)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def check(self) -> None:
        """End the measurement if the job has ended."""
        if self._process is None or self._process.poll() is not None:
            raise SystemExit(f"the job {self.name} ended:\n{self.said()}")


class Load:
    """A publisher at a steady rate, as a process of its own."""

    def __init__(self, job: Job, users: int, rate: float, total: int, first: int, *, identify: bool = False) -> None:
        command = [sys.executable, "-m", "bench.live_load", job.topic, "--users", str(users), "--rate", str(rate)]
        command += ["--total", str(total), "--first", str(first), *(["--identify"] if identify else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)

    def wait(self) -> dict[str, Any]:
        """Wait for its end; returns what was published."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise SystemExit("the publisher failed")
        return dict(json.loads(output))


def wait_for(what: str, holds: Callable[[], bool], job: Job) -> float:
    """Wait until something holds; returns the time then, since the epoch."""
    until = time.time() + PATIENCE
    while not holds():
        job.check()
        if time.time() > until:
            raise SystemExit(f"{what}: not within {PATIENCE:.0f} s\n{job.said()}")
        time.sleep(0.1)
    return time.time()
