"""A live job on Prism whose messages are acknowledged on account, from the Pub/Sub emulator into SQLite.

A proxy before the broker looks, at each acknowledgement, whether the store has what it is for.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from emulators import Project
from flaky import Flaky, refuse
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import AcknowledgeRequest, PublishRequest, PullResponse
from live_commands import PATIENCE, publish

from transforms.storage.open import open_reader

JOB = Path(__file__).parent / "accounted_job.py"
DEFINITIONS = """
segments:
  lookers: {owner: o, members: {event: Viewed}}
  buyers: {owner: o, members: {event: Ordered}}
"""
#: The shortest that the service has: what is not acknowledged comes again soon.
DEADLINE = 10


class Broker:
    """The emulator as the job sees it: what it gave out and took, and what was acknowledged; `early` came before its
    row.
    """

    def __init__(self, host: str, database: Path) -> None:
        self.proxy = Flaky(host)
        self.given: dict[str, bytes] = {}
        self.sent_back: set[bytes] = set()
        self.acknowledged: Counter[bytes] = Counter()
        self.early: list[bytes] = []
        self._database = database
        self.proxy.always("Pull", self._pull)
        self.proxy.always("Acknowledge", self._acknowledge)
        self.proxy.always("Publish", self._publish)

    @property
    def open(self) -> set[bytes]:
        """What the job has to do: what it got, and what it told itself."""
        return ({*self.given.values()} | self.sent_back) - self.acknowledged.keys()

    def _publish(self, requests: Iterable[bytes], upstream: Any, _: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        for request in map(PublishRequest.deserialize, said):
            if request.topic.endswith("/control"):
                self.sent_back |= {message.data for message in request.messages}
        yield from upstream(iter(said))

    def _pull(self, requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        call = upstream(requests, timeout=context.time_remaining())
        context.add_callback(call.cancel)
        for answer in call:
            for received in PullResponse.pb(PullResponse.deserialize(answer)).received_messages:
                self.given[received.ack_id] = received.message.data
            yield answer

    def _acknowledge(self, requests: Iterable[bytes], upstream: Any, _: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        for request in said:
            for ack_id in AcknowledgeRequest.pb(AcknowledgeRequest.deserialize(request)).ack_ids:
                payload = self.given[ack_id]
                if not self._is_kept(payload):
                    self.early.append(payload)
                self.acknowledged[payload] += 1
        yield from upstream(iter(said))

    def _is_kept(self, payload: bytes) -> bool:
        """Whether the store has a call in its archive, or among its dead letters; what goes back has no row."""
        with sqlite3.connect(self._database, timeout=30) as database:
            if b'"messageId"' not in payload:
                found = database.execute("SELECT 1 FROM dead_letters WHERE payload = ?", (payload,)).fetchone()
                return bool(found) or payload.startswith((b"{", b"["))
            name = json.loads(payload)["messageId"]
            return bool(database.execute("SELECT 1 FROM events WHERE id = ?", (name,)).fetchone())


class Job:
    """`accounted_job.py` with its Prism, in a process group of its own."""

    def __init__(self, command: list[str], host: str, log: Path) -> None:
        self._command, self.log = command, log
        self._environment = os.environ | {"PUBSUB_EMULATOR_HOST": host}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


class Site:
    """Topics, a store and a job of one test."""

    def __init__(self, pubsub: Project, prism: str, folder: Path) -> None:
        project = f"projects/{pubsub.name}"
        self.topic, self.database = f"{project}/topics/events", folder / "s.db"
        publisher = PublisherClient()
        with SubscriberClient() as subscriber:
            for name in ("events", "control", "dead"):
                publisher.create_topic(name=f"{project}/topics/{name}")
                subscriber.create_subscription(
                    name=f"{project}/subscriptions/{name}",
                    topic=f"{project}/topics/{name}",
                    ack_deadline_seconds=DEADLINE,
                )
        self.subscriptions = [f"{project}/subscriptions/{name}" for name in ("events", "control")]
        self.broker = Broker(pubsub.host, self.database)
        (folder / "d.yaml").write_text(DEFINITIONS)
        flags = {
            "--definitions": folder / "d.yaml",
            "--events": f"pubsub:{self.subscriptions[0]}",
            "--control": f"pubsub:{self.subscriptions[1]}",
            "--control-topic": f"pubsub:{project}/topics/control",
            "--dead-letters": f"pubsub:{project}/topics/dead",
            "--store": f"sqlite:{self.database}",
            "--outbox": folder / "outbox",
        }
        given = [str(part) for flag in flags.items() for part in flag]
        self.job = Job([sys.executable, str(JOB), prism, *given], self.broker.proxy.host, folder / "log.txt")

    def wait_for(self, *names: str) -> None:
        """Wait until calls were acknowledged."""
        until = time.monotonic() + PATIENCE
        while not {*names} <= (done := self._acknowledged()):
            assert time.monotonic() < until, (names, done, self.job.log.read_text()[-3000:])
            time.sleep(0.2)

    def _acknowledged(self) -> set[str]:
        return {json.loads(each)["messageId"] for each in [*self.broker.acknowledged] if b'"messageId"' in each}

    def left(self) -> list[bytes]:
        """What the subscriptions give out once all leases are over, the job being gone."""
        time.sleep(DEADLINE + 1)
        with SubscriberClient() as subscriber:
            return [
                message.message.data
                for name in self.subscriptions
                for message in subscriber.pull(
                    subscription=name, max_messages=100, return_immediately=True
                ).received_messages
            ]

    def members(self, segment: str) -> set[str]:
        reader = open_reader(f"sqlite:{self.database}")
        try:
            return {row.user for row in reader.scan_members(segment)}
        finally:
            reader.close()

    def close(self) -> None:
        self.job.kill()
        self.broker.proxy.stop()


@pytest.fixture
def site(pubsub: Project, prism: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(pubsub, prism, tmp_path)
    yield made
    made.close()


def call(name: str, event: str = "Viewed", **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"type": "track", "event": event, "messageId": name, "timestamp": now, **fields}


HISTORY = [
    call("m1", userId="ada"),
    call("m2", anonymousId="v1"),
    call("m3", anonymousId="v1", event="Ordered"),
    {**call("m4", userId="bob", anonymousId="v1"), "type": "identify", "traits": {"plan": "pro"}},
    call("m5", userId="old", event="Ordered"),
    {**call("m6", userId="ada", previousId="old"), "type": "alias"},
    call("m7", anonymousId="v1"),
    call("m8", userId="old"),
]
NAMES = [str(each["messageId"]) for each in HISTORY]


@pytest.mark.all_in_ci
@pytest.mark.filterwarnings("ignore:The return_immediately")
def test_each_message_is_acknowledged_once_its_account_is_kept(site: Site) -> None:
    """Visitors, merges and what cannot be read among them; SIGKILL in between."""
    publish(site.topic, HISTORY[:5])
    answer = PublisherClient().publish(site.topic, b"not JSON \xff")
    answer.result(30)
    site.job.start()
    site.wait_for(*NAMES[:5])
    publish(site.topic, HISTORY[5:7])
    site.job.kill()
    site.job.start()
    publish(site.topic, HISTORY[7:])
    site.wait_for(*NAMES)
    until = time.monotonic() + PATIENCE
    while site.members("buyers") != {"ada", "bob"}:
        assert time.monotonic() < until, site.job.log.read_text()[-3000:]
        time.sleep(0.2)
    while site.broker.open:
        assert time.monotonic() < until, (site.broker.open, site.job.log.read_text()[-3000:])
        time.sleep(0.2)
    site.job.kill()
    until = time.monotonic() + PATIENCE
    while left := site.left():  # what was acknowledged after its lease, on a busy machine
        before = Counter(site.broker.acknowledged)
        site.job.start()
        while any(site.broker.acknowledged[each] == before[each] for each in left):
            assert time.monotonic() < until, (left, site.job.log.read_text()[-3000:])
            time.sleep(0.2)
        site.job.kill()
    assert site.broker.early == []
    assert b"not JSON \xff" in site.broker.acknowledged
    assert site.members("lookers") == {"ada", "bob"}


@pytest.mark.all_in_ci
def test_what_cannot_be_acknowledged_comes_again_and_is_a_duplicate(site: Site) -> None:
    refused = refuse(grpc.StatusCode.PERMISSION_DENIED)
    acknowledge = site.broker._acknowledge
    site.broker.proxy.always("Acknowledge", refused)
    publish(site.topic, HISTORY[:1])
    site.job.start()
    until = time.monotonic() + PATIENCE
    while site.broker.proxy.calls.get("Acknowledge", 0) < 1:
        assert time.monotonic() < until, site.job.log.read_text()[-3000:]
        time.sleep(0.2)
    site.broker.proxy.always("Acknowledge", acknowledge)
    site.wait_for("m1")
    assert len(site.broker.given) > 1
    assert site.broker.early == []
    with sqlite3.connect(site.database, timeout=30) as database:
        assert database.execute("SELECT count(*) FROM events WHERE id = 'm1'").fetchone() == (1,)
    assert "are not acknowledged, and come again" in site.job.log.read_text()
