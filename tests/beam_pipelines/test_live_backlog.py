"""A live job that starts behind more messages than it may hold at a time, whose users have deadlines in between."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from transforms.events.live.pubsub import HELD_MESSAGES
from transforms.storage.open import open_store
from transforms.storage.store import StoreError

DEFINITIONS = "segments:\n  fresh: {owner: growth, members: {event: Visited, within: 1s}}\n"
#: More than may be held after the first batch, whose deadlines the others wait behind, has been accounted for.
BACKLOG = HELD_MESSAGES + 2_500
#: Visits published each second: a batch of a thousand spans more than a deadline.
RATE = 600
USERS = 400
PATIENCE = 150.0


def publish_backlog(topic: str) -> None:
    publisher, begun = PublisherClient(), time.monotonic()
    for first in range(0, BACKLOG, 250):
        answers = []
        for number in range(first, first + 250):
            call = {"type": "track", "event": "Visited", "messageId": f"v{number}", "userId": f"u{number % USERS}"}
            call["timestamp"] = datetime.now(UTC).isoformat()
            answers.append(publisher.publish(topic, json.dumps(call).encode()))
        for answer in answers:
            answer.result(30)
        time.sleep(max(0.0, begun + first / RATE - time.monotonic()))


def visits(url: str) -> int:
    try:
        store = open_store(url, create=False)
    except StoreError:
        return 0
    try:
        return sum(len(store.read_events(f"u{number}")) for number in range(USERS))
    finally:
        store.close()


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_a_backlog_beyond_what_may_be_held_is_worked_off(tmp_path: Path, pubsub: Project) -> None:
    topic, subscription = (f"projects/{pubsub.name}/{kind}/events" for kind in ("topics", "subscriptions"))
    PublisherClient().create_topic(name=topic)
    SubscriberClient().create_subscription(name=subscription, topic=topic, ack_deadline_seconds=10)
    publish_backlog(topic)
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    url = f"sqlite:{tmp_path / 'store.db'}"
    flags = ["--definitions", f"{tmp_path}/d.yaml", "--events", f"pubsub:{subscription}", "--store", url]
    flags += ["--outbox", f"{tmp_path}/out", "--dead-letters", f"{tmp_path}/dead.jsonl"]
    with (tmp_path / "log.txt").open("wb") as log:
        job = subprocess.Popen([sys.executable, "-m", "todoke", "run", *flags], stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE
        while visits(url) < BACKLOG:
            assert time.monotonic() < until, (tmp_path / "log.txt").read_text()[-3000:]
            time.sleep(1.0)
    finally:
        job.terminate()
        assert job.wait(60) == 0
