"""A live job on a Flink cluster, from the Pub/Sub emulator, while one of its TaskManagers is killed.

The job is `todoke run --read accounted` as a user starts it, so its subscriptions have the deadline that it asks for:
two minutes. A test does not wait for that. After the kill the broker is told that leases have ended, which those of a
worker that is gone do in the end, and others may.
"""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from core import texts_of
from emulators import Project
from flaky import Flaky
from generators import iso
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import AcknowledgeRequest, PublishRequest, PublishResponse, PullRequest, PullResponse
from oracle import memberships
from test_on_flink import beside, pushes_in, tables_of, wait_for

from tools.flink import FLINK, Cluster
from transforms.events.accounted.deadline import needed
from transforms.metrics.counts import counts_of
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerState
from transforms.storage.store import Store
from transforms.users.members import standing_members

#: The job takes a checkpoint so often, in seconds.
CHECKPOINTS = 2
#: What is given out and not acknowledged for so many checkpoints is held by nobody: acknowledging takes two.
FORGOTTEN = 5
PEOPLE = 40
#: Who was counted twice is in neither `thrice` nor `looked`.
DEFINITIONS = {
    "segments": {
        "paying": {"members": {"attribute": "plan", "is": "pro"}},
        "keen": {"members": {"event": "Viewed", "where": {"amount": {"at_least": 2}}}},
        "looked": {"members": {"event": "Viewed", "within": "7d", "count": {"between": [3, 3]}}},
        "thrice": {"members": {"event": "Ordered", "within": "7d", "count": {"between": [3, 3]}}},
    },
    "campaigns": {
        "thanks": {
            "trigger": {"event": "Ordered"},
            "steps": [{"send": "thank"}],
            "reenter": "always",
            "transactional": True,
        }
    },
    "messages": {"thank": {"channel": "push", "title": "Thanks", "data": {"order": "{{ event.number }}"}}},
}

Plain = dict[str, Any]


def batches() -> tuple[list[Plain], ...]:
    """Four lots of calls: all users, who can be reached from then on; then visitors look, become users, and go on."""
    lots: tuple[list[Plain], ...] = ([], [], [], [])

    def say(lot: int, type_: str, **fields: Any) -> None:
        at = iso(time.time_ns() // 1000 - 1_000_000)
        lots[lot].append({"type": type_, "messageId": f"m{lot}.{len(lots[lot])}", "timestamp": at, **fields})

    for number in range(PEOPLE):
        user, visitor = {"userId": f"u{number}"}, {"anonymousId": f"a{number}"}
        context = {"device": {"type": "ios", "token": f"token {number}"}}
        say(0, "identify", traits={"plan": "pro" if number % 3 else "free"}, context=context, **user)
        say(1, "track", event="Viewed", properties={"amount": number % 4}, **visitor)
        say(2, "track", event="Viewed", properties={"amount": 1}, **user)
        say(2, "identify", **user, **visitor)
        say(3, "track", event="Viewed", properties={"amount": 0}, **visitor)
        for lot in (1, 2, 3):
            if number % 2 or lot == 2:
                say(lot, "track", event="Ordered", properties={"number": f"{lot}.{number}"}, **user)
    return lots


class Broker:
    """The emulator as the job sees it.

    Attributes:
      arrivals: when the broker got each message that the job has to account for, in microseconds, by the broker's id; 0
        while it was not given out.
      acknowledged: the broker's ids of those that were.
    """

    def __init__(self, host: str, socket: Path) -> None:
        self.proxy = Flaky(host, socket=socket)
        self.arrivals: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self._given: dict[str, tuple[str, str]] = {}
        self.proxy.always("Pull", self._pull)
        self.proxy.always("Acknowledge", self._acknowledge)
        self.proxy.always("Publish", self._publish)

    @property
    def open(self) -> set[str]:
        """What is not acknowledged."""
        return set(self.arrivals) - self.acknowledged

    def held(self) -> dict[str, tuple[str, str]]:
        """What was given out and not acknowledged: subscriptions and the broker's ids, by ack ids."""
        return {ack_id: each for ack_id, each in self._given.copy().items() if each[1] not in self.acknowledged}

    def end_leases(self, held: dict[str, tuple[str, str]]) -> None:
        """Those that are not acknowledged yet come again."""
        with SubscriberClient() as client:
            for ack_id, (subscription, message) in held.items():
                if message not in self.acknowledged:
                    client.modify_ack_deadline(subscription=subscription, ack_ids=[ack_id], ack_deadline_seconds=0)

    def _publish(self, requests: Iterable[bytes], upstream: Any, _: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        back = PublishRequest.deserialize(said[0]).topic.endswith("/control")
        for answer in upstream(iter(said)):
            for message in PublishResponse.deserialize(answer).message_ids if back else ():
                self.arrivals.setdefault(message, 0)
            yield answer

    def _pull(self, requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        subscription = PullRequest.deserialize(said[0]).subscription
        call = upstream(iter(said), timeout=context.time_remaining())
        context.add_callback(call.cancel)
        for answer in call:
            for received in PullResponse.pb(PullResponse.deserialize(answer)).received_messages:
                self._given[received.ack_id] = subscription, received.message.message_id
                self.arrivals[received.message.message_id] = received.message.publish_time.ToMicroseconds()
            yield answer

    def _acknowledge(self, requests: Iterable[bytes], upstream: Any, _: grpc.ServicerContext) -> Iterator[bytes]:
        said = list(requests)
        yield from upstream(iter(said))
        self.acknowledged |= {self._given[ack_id][1] for ack_id in AcknowledgeRequest.deserialize(said[0]).ack_ids}


class Site:
    """Topics, subscriptions, a store and an outbox; and the calls that were `published`, by the broker's ids."""

    def __init__(self, pubsub: Project, socket: Path, folder: Path) -> None:
        project = f"projects/{pubsub.name}"
        self.topic, self.url = f"{project}/topics/events", f"sqlite:{folder / 'store.db'}"
        self.outbox = folder / "outbox"
        self.published: dict[str, Plain] = {}
        self._publisher = PublisherClient()
        with SubscriberClient() as subscriber:
            for name in ("events", "control", "dead"):
                self._publisher.create_topic(name=f"{project}/topics/{name}")
                subscriber.create_subscription(
                    name=f"{project}/subscriptions/{name}",
                    topic=f"{project}/topics/{name}",
                    ack_deadline_seconds=int(needed(CHECKPOINTS)),
                )
        self.broker = Broker(pubsub.host, socket)
        (folder / "plain.yaml").write_text(texts_of(DEFINITIONS)[0][1], "utf-8")
        flags = {
            "--definitions": folder / "plain.yaml",
            "--events": f"pubsub:{project}/subscriptions/events",
            "--control": f"pubsub:{project}/subscriptions/control",
            "--control-topic": f"pubsub:{project}/topics/control",
            "--dead-letters": f"pubsub:{project}/topics/dead",
            "--store": self.url,
            "--outbox": self.outbox,
            "--flink": FLINK,
            "--read": "accounted",
            "--checkpoints": f"{CHECKPOINTS}s",
        }
        self.command = ["-m", "todoke", "run", *(part for flag in flags.items() for part in flag)]

    def publish(self, calls: list[Plain]) -> set[str]:
        """Returns the broker's ids."""
        answers = [self._publisher.publish(self.topic, json.dumps(call).encode()) for call in calls]
        ids = [answer.result(60) for answer in answers]
        for message, call in zip(ids, calls, strict=True):
            self.broker.arrivals.setdefault(message, 0)
            self.published[message] = call
        return set(ids)

    def archived(self) -> set[str]:
        """The message ids of the calls that the store has."""
        if "events" not in tables_of(Path(self.url.removeprefix("sqlite:"))):
            return set()
        with sqlite3.connect(self.url.removeprefix("sqlite:"), timeout=30) as database:
            found = {name for (name,) in database.execute("SELECT id FROM events")}
        return found & {call["messageId"] for call in self.published.values()}

    def expected(self) -> dict[str, set[str]]:
        """The members of each segment, by the oracle."""
        arrivals = self.broker.arrivals
        history = [call | {"arrival": iso(arrivals[message])} for message, call in self.published.items()]
        said = memberships(DEFINITIONS, history, time.time_ns() // 1000)
        return {name: {user for user, theirs in said.items() if name in theirs} for name in DEFINITIONS["segments"]}


@pytest.fixture
def site(pubsub: Project, flink_pubsub: Path, tmp_path: Path) -> Iterator[Site]:
    made = Site(pubsub, flink_pubsub, tmp_path)
    yield made
    made.broker.proxy.stop()


@pytest.fixture
def job(flink: Cluster, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a job that runs."""
    with monkeypatch.context() as there:
        there.setenv("PUBSUB_EMULATOR_HOST", site.broker.proxy.host)
        beside(flink, *site.command)
    running = flink.running_job()
    yield running
    flink.cancel(running)


@pytest.mark.all_in_ci
@pytest.mark.timeout(900)
def test_a_task_manager_is_killed_under_live_traffic(flink: Cluster, site: Site, job: str) -> None:
    users, acknowledged, on_their_way, later = batches()
    broker = site.broker
    first = site.publish(users)
    wait_for(lambda: first <= broker.acknowledged)
    second = site.publish(acknowledged)
    wait_for(lambda: second & broker.acknowledged)
    assert flink.checkpoints(job) > 0
    site.publish(on_their_way)
    wait_for(lambda: {call["messageId"] for call in on_their_way} & site.archived())
    flink.kill(flink.task_managers()[0])
    site.publish(later)
    flink.start_task_manager()
    wait_for(lambda: flink.restarts(job) > 0)
    broker.end_leases(broker.held())
    store = open_store(site.url)
    wait_until_nothing_is_left_to_do(flink, job, broker, store)
    assert_nothing_is_lost_or_twice(site, store)
    store.close()


def wait_until_nothing_is_left_to_do(flink: Cluster, job: str, broker: Broker, store: Store) -> None:
    """All is acknowledged, and the only open sends are those of claims.

    What a worker pulled that was about to end comes again, too.
    """
    held, since = broker.held(), flink.checkpoints(job)

    def done() -> bool:
        nonlocal held, since
        if flink.checkpoints(job) >= since + FORGOTTEN:
            broker.end_leases(held)
            held, since = broker.held(), flink.checkpoints(job)
        claimed = sum(row.state == LedgerState.CLAIMED for row in store.scan_ledger())
        return not broker.open and sum(row.open_sends for row in store.scan_users()) == claimed

    wait_for(done)


def assert_nothing_is_lost_or_twice(site: Site, store: Store) -> None:
    calls = {call["messageId"]: call for call in site.published.values()}
    assert site.archived() == calls.keys()
    assert {name: {row.user for row in standing_members(store, name)} for name in DEFINITIONS["segments"]} == (
        expected := site.expected()
    )
    assert all(expected.values())
    # Windows are written once they are over. After a kill the table of metrics may be short, never over.
    wait_for(lambda: applied_in(store))
    assert applied_in(store) <= len(calls)
    orders = Counter(call["properties"]["number"] for call in calls.values() if call.get("event") == "Ordered")
    ends = Counter(row.state for row in store.scan_ledger())
    pushed = Counter(json.loads(line)["data"]["order"] for line in pushes_in(site.outbox))
    assert ends.total() == orders.total()
    assert ends.keys() <= {LedgerState.HANDED_OFF, LedgerState.CLAIMED}
    # Of a send that was claimed when the kill came nobody knows whether it is out: `todoke sweep` says so later.
    assert pushed <= orders
    assert (orders - pushed).total() <= ends[LedgerState.CLAIMED]


def applied_in(store: Store) -> int:
    """How many inputs were, as the table of metrics says."""
    return sum(each.count for each in counts_of(store, "accounts") if each.labels["outcome"] == "applied")
