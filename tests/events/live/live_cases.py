"""What tests of live reading share: a topic on the Pub/Sub emulator, and live jobs on Prism as processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import grpc
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

JOB = Path(__file__).parent / "live_job.py"
ROOT = Path(__file__).parent.parent.parent.parent
#: How long anything may take that is waited for, in seconds.
PATIENCE = 60.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class Topic:
    """A topic with one subscription, of one test."""

    def __init__(self, host: str, project: str) -> None:
        self.name = f"projects/{project}/topics/events"
        self.subscription = f"projects/{project}/subscriptions/events"
        self._publisher = PublisherClient()
        # Larger messages than Google's client takes from the emulator by itself.
        channel = grpc.insecure_channel(host, [("grpc.max_receive_message_length", -1)])
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        self._publisher.create_topic(name=self.name)
        self.subscriber.create_subscription(name=self.subscription, topic=self.name, ack_deadline_seconds=10)

    def publish(self, *payloads: bytes) -> None:
        answers: list[Future[str]] = [self._publisher.publish(self.name, payload) for payload in payloads]
        for answer in answers:
            answer.result(PATIENCE)

    def pull(self, seconds: float) -> list[bytes]:
        """What comes for so long, acknowledged."""
        deadline = time.monotonic() + seconds
        found = []
        while time.monotonic() < deadline:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                pulled = self.subscriber.pull(
                    subscription=self.subscription, max_messages=1_000, return_immediately=True
                )
            if received := pulled.received_messages:
                found += [message.message.data for message in received]
                ids = [message.ack_id for message in received]
                self.subscriber.acknowledge(subscription=self.subscription, ack_ids=ids)
            time.sleep(0.1)
        return found

    def close(self) -> None:
        self.subscriber.close()
        self._publisher.stop()


class Jobs:
    """`live_job.py` over a subscription, in process groups of their own; `seen` is what they have written."""

    def __init__(self, prism: str, subscription: str, folder: Path) -> None:
        self.path = folder / "seen.db"
        self._connection = sqlite3.connect(self.path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("CREATE TABLE seen (payload TEXT, handle TEXT)")
        self.command = [sys.executable, str(JOB), subscription, str(self.path), f"--prism_location={prism}"]
        self.environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *flags: str) -> subprocess.Popen[str]:
        job = subprocess.Popen(
            [*self.command, *flags], env=self.environment, text=True, stderr=subprocess.DEVNULL, process_group=0
        )
        self._started.append(job)
        return job

    def kill(self, job: subprocess.Popen[str]) -> None:
        """SIGKILL for the job and its Prism."""
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()

    def seen(self) -> list[str]:
        return [payload for (payload,) in self._connection.execute("SELECT payload FROM seen")]

    def close(self) -> None:
        for job in self._started:
            if job.poll() is None:
                self.kill(job)
        self._connection.close()
