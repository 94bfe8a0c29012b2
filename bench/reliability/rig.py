"""The surroundings of a proof: emulators behind proxies, local servers, the command with its processes, a publisher."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import PullResponse

from bench.reliability.stream import Call
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.storage.store import Store

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from emulators import start_bigtable, start_pubsub
from flaky import Flaky

__all__ = ["DEFINITIONS", "PROJECT", "SLOW_SECONDS", "Broker", "Job", "Rig", "publishing", "rig"]

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
PROJECT = "proofs"
#: How long the publisher waits for the broker, in seconds.
PUBLISH_SECONDS = 60.0
STOP_SECONDS = 90.0
#: How long the push server delays its answer for tokens that `stream` names slow, in seconds.
SLOW_SECONDS = 0.2


class Broker:
    """The Pub/Sub emulator as the job sees it: through a proxy that notes each delivery.

    Attributes:
      deliveries: how often the broker gave out each of its messages.
      published: by the broker's id of a message, our message id and the publish time (microseconds UTC).
    """

    def __init__(self, host: str, port: int = 0) -> None:
        self.proxy = Flaky(host, port)
        self.deliveries: Counter[str] = Counter()
        self.published: dict[str, tuple[str, int]] = {}
        self.proxy.always("Pull", self._pull)

    def _pull(self, requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        # The broker must learn that a puller has gone, or it would go on giving messages to nobody.
        call = upstream(requests, timeout=context.time_remaining())
        context.add_callback(call.cancel)
        for answer in call:
            for received in PullResponse.pb(PullResponse.deserialize(answer)).received_messages:
                message = received.message
                self.deliveries[message.message_id] += 1
                published = message.publish_time.ToMicroseconds()
                self.published[message.message_id] = (_id_in(message.data), published)
            yield answer

    @property
    def again(self) -> int:
        """How many deliveries were repetitions."""
        return self.deliveries.total() - len(self.deliveries)


def _id_in(payload: bytes) -> str:
    return payload.partition(b'"messageId": "')[2].partition(b'"')[0].decode()


class Job:
    """`todoke run` as a user starts it, with all processes below it."""

    def __init__(self, flags: dict[str, Any], environment: dict[str, str], log: Path) -> None:
        given = [str(part) for flag in flags.items() for part in flag]
        self._command = [sys.executable, "-m", "todoke", "run", *given]
        self._environment = environment
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor, which starts the rest."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def kill(self) -> int:
        """SIGKILL to every process of the tree at once; returns how many there were."""
        assert self._process is not None
        tree = _tree(self._process.pid)
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(30)
        return len(tree)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)

    def check(self) -> None:
        """Raises RuntimeError if the job has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the job ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]


def _tree(root: int) -> list[int]:
    """A process and all below it, the root first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


class Rig:
    """One proof's surroundings."""

    def __init__(self, folder: Path, pubsub: str, bigtable: str, *, refusable: bool) -> None:
        self.folder = folder
        self.broker = Broker(pubsub)
        self.tables = Flaky(bigtable) if refusable else None
        self.fcm, self.smtp = LocalFcm.start(slow=SLOW_SECONDS), LocalSmtp.start()
        self.url = f"bigtable:{PROJECT}/{folder.name.replace('_', '-').lower()}"
        publisher, subscriber = PublisherClient(), SubscriberClient()
        self.topic = publisher.topic_path(PROJECT, folder.name)
        self.subscription = f"projects/{PROJECT}/subscriptions/{folder.name}"
        publisher.create_topic(name=self.topic)
        subscriber.create_subscription(name=self.subscription, topic=self.topic, ack_deadline_seconds=10)
        subscriber.close()
        self.store: Store = open_store(self.url)
        host = bigtable if self.tables is None else self.tables.host
        environment = os.environ | {"PUBSUB_EMULATOR_HOST": self.broker.proxy.host, "BIGTABLE_EMULATOR_HOST": host}
        self.job = Job(self.flags(f"pubsub:{self.subscription}", self.url), environment, folder / "log.txt")

    def flags(self, events: str, store: str) -> dict[str, Any]:
        """The flags of `todoke run`, with the local servers."""
        return {
            "--definitions": DEFINITIONS,
            "--events": events,
            "--store": store,
            "--push": f"fcm:demo-project@{self.fcm.url}",
            "--email": self.smtp.url,
            "--outbox": self.folder / "outbox",
        }

    def close(self) -> None:
        """Stop everything."""
        self.job.stop()
        self.store.close()
        self.smtp.stop()
        self.fcm.stop()
        self.broker.proxy.stop()
        if self.tables is not None:
            self.tables.stop()


@contextmanager
def rig(*, refusable: bool = False) -> Iterator[Rig]:
    """Start emulators and servers on free ports; with `refusable`, the job reaches the store through `tables`."""
    pubsub, bigtable = start_pubsub(), start_bigtable()
    os.environ |= {"PUBSUB_EMULATOR_HOST": pubsub.host, "BIGTABLE_EMULATOR_HOST": bigtable.host}
    folder = Path(tempfile.mkdtemp(prefix="proof-"))
    try:
        made = Rig(folder, pubsub.host, bigtable.host, refusable=refusable)
        try:
            yield made
        finally:
            made.close()
    finally:
        bigtable.stop()
        pubsub.stop()


@contextmanager
def publishing(topic: str, calls: list[Call], begin: int, done: Callable[[int], None]) -> Iterator[threading.Thread]:
    """Publish each call at its moment in a thread of its own; `done` is told how many the broker has.

    Args:
      begin: the time from which moments count, in microseconds UTC.
    """
    over = threading.Event()

    def publish() -> None:
        publisher, answers = PublisherClient(), []
        for place, call in enumerate(calls):
            if over.wait(max(0.0, begin / 1e6 + call.at - time.time())):
                break
            answer = publisher.publish(topic, call.payload)
            answer.add_done_callback(lambda _, place=place: done(place + 1))
            answers.append(answer)
        for answer in answers:
            answer.result(PUBLISH_SECONDS)

    thread = threading.Thread(target=publish, name="publisher", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join(PUBLISH_SECONDS)
