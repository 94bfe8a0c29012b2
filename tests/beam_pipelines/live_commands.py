"""`todoke run` as a process that can be killed, and what is published for it."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

__all__ = ["PATIENCE", "Job", "events_topic", "publish", "wait_for"]

#: Longer than anything here takes on a busy machine, in seconds.
PATIENCE = 120.0


class Job:
    """The command in a process group of its own."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = command
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL; the supervisor's death takes its child and Prism with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int | None:
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def events_topic(pubsub: Project) -> str:
    """A topic, and a subscription of the same name."""
    publisher, subscriber = PublisherClient(), SubscriberClient()
    topic = publisher.topic_path(pubsub.name, "events")
    publisher.create_topic(name=topic)
    subscriber.create_subscription(
        name=f"projects/{pubsub.name}/subscriptions/events", topic=topic, ack_deadline_seconds=10
    )
    return topic


def publish(topic: str, messages: list[dict[str, Any]]) -> None:
    publisher = PublisherClient()
    answers = [publisher.publish(topic, json.dumps(message).encode()) for message in messages]
    for answer in answers:
        answer.result(30)


def wait_for(holds: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.2)
