"""A live job on this machine makes its own seeds: a segment that is published knows the past, and sends nothing."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from todoke.publish import publish
from transforms.campaigns.load import read_texts
from transforms.campaigns.publish import LEAST_AHEAD, next_release
from transforms.campaigns.release import beside, encode_pointer, encode_texts, read_release
from transforms.campaigns.transforms import read_file, write_file
from transforms.channels.push.local_fcm import LocalFcm
from transforms.storage.open import open_store
from transforms.storage.store import Store

BEFORE = "segments: {visitors: {owner: growth, members: {event: Visited}}}\n"
AFTER = """
segments:
  visitors: {owner: growth, members: {event: Visited}}
  loyal: {owner: growth, members: {event: Ordered, count: {at_least: 2}}}
campaigns:
  thanks:
    owner: growth
    trigger: {enters: loyal}
    steps: [{send: thanks_push}]
    consent: news
messages:
  thanks_push: {channel: push, title: "Thank you"}
"""
USERS = 9
#: How far ahead the activation is here, in microseconds: the job looks at the pointer every few seconds.
SOON = 20_000_000
#: Longer than anything here takes on a busy machine, in seconds.
PATIENCE = 100.0


class Shop:
    """A topic with its subscription, and a pointer."""

    def __init__(self, folder: Path, project: str) -> None:
        self.folder, self.pointer, self.log = folder, str(folder / "shop.json"), folder / "log.txt"
        self.publisher, subscriber = PublisherClient(), SubscriberClient()
        self.topic = self.publisher.topic_path(project, "events")
        self.events = f"projects/{project}/subscriptions/events"
        self.publisher.create_topic(name=self.topic)
        subscriber.create_subscription(name=self.events, topic=self.topic, ack_deadline_seconds=10)
        self._calls = 0

    def tell(self, user: int, **call: Any) -> None:
        self._calls += 1
        said = {"type": "track", "userId": f"u{user}", "messageId": f"m{self._calls}", **call}
        said["timestamp"] = datetime.now(UTC).isoformat()
        self.publisher.publish(self.topic, json.dumps(said).encode()).result(30)

    def definitions(self, text: str) -> Path:
        (self.folder / "shop.yaml").write_text(text)
        return self.folder / "shop.yaml"

    def publish_soon(self, text: str) -> int:
        """Publish as the command does, but with an activation that is nearer than it lets one be; returns that."""
        release, _ = read_release(self.pointer, read_file)
        now = time.time_ns() // 1000
        changes = next_release(release, read_texts(self.definitions(text)), now - LEAST_AHEAD, now + SOON)
        assert changes is not None
        files = {each.definitions_hash: f"shop-{each.definitions_hash}.json" for each in changes.release.revisions}
        newest = changes.release.revisions[0]
        write_file(beside(self.pointer, files[newest.definitions_hash]), encode_texts(newest.texts))
        write_file(self.pointer, encode_pointer(changes.release, files))
        assert changes.activation is not None
        return changes.activation

    def wait_for(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.2)


def members(url: str) -> set[str]:
    command = [sys.executable, "-m", "todoke", "members", "loyal", "--store", url]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def archived(store: Store) -> int:
    return sum(event.type != "receipt" for user in range(USERS) for event in store.read_events(f"u{user}"))


@pytest.mark.all_in_ci
@pytest.mark.usefixtures("prism")
def test_a_segment_that_is_published_knows_the_past_and_sends_nothing_for_it(tmp_path: Path, pubsub: Project) -> None:
    fcm, shop, url = LocalFcm.start(), Shop(tmp_path, pubsub.name), f"sqlite:{tmp_path / 'users.db'}"
    publish(shop.definitions(BEFORE), shop.pointer, None, json=True)
    command = [sys.executable, "-m", "todoke", "run", "--definitions", shop.pointer, "--store", url]
    command += ["--events", f"pubsub:{shop.events}", "--push", f"fcm:demo@{fcm.url}", "--outbox", str(tmp_path / "out")]
    with shop.log.open("wb") as log:
        job = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        for user in range(USERS):
            shop.tell(user, type="identify", context={"device": {"token": f"token-u{user}", "type": "ios"}})
            for _ in range(user % 3):
                shop.tell(user, event="Ordered")
        store = open_store(url)
        shop.wait_for(lambda: archived(store) == 2 * USERS)
        active = shop.publish_soon(AFTER)
        shop.tell(1, event="Ordered")  # after the publication, and before what it asks counts
        past = {"u1", "u2", "u5", "u8"}
        shop.wait_for(lambda: time.time_ns() // 1000 > active)
        shop.wait_for(lambda: members(url) == past)
        assert "seeds for conditions that count from" in shop.log.read_text()
        shop.tell(4, event="Ordered")  # the second one: as all know of the first by the seed
        shop.tell(3, event="Ordered")
        shop.wait_for(lambda: len(fcm.received) == 1)
        shop.tell(3, event="Ordered")
        shop.wait_for(lambda: len(fcm.received) == 2)
        assert [push["token"] for push in fcm.received] == ["token-u4", "token-u3"]
        shop.wait_for(lambda: members(url) == past | {"u3", "u4"})
        assert {row.user for row in store.scan_ledger()} == {"u3", "u4"}
        store.close()
    finally:
        job.send_signal(signal.SIGTERM)
        ended = job.wait(60)
        fcm.stop()
    assert ended == 0
