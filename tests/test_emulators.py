"""The emulators that other tests stand on: they answer, are apart from each other, and end with who started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import emulators
import grpc
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import pubsub_v1


def test_messages_pass_through_the_pubsub_emulator(pubsub: Any) -> None:
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        topic = publisher.topic_path(pubsub.name, "events")
        subscription = subscriber.subscription_path(pubsub.name, "events-sub")
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        publisher.publish(topic, b"hello").result(30)
        pulled = subscriber.pull(subscription=subscription, max_messages=1, timeout=30)
        assert [received.message.data for received in pulled.received_messages] == [b"hello"]
        elsewhere = publisher.topic_path(f"{pubsub.name}-other", "events")
        with pytest.raises(NotFound):
            publisher.get_topic(topic=elsewhere)


@pytest.mark.usefixtures("bigtable_emulator")  # skips where there is none
def test_an_emulator_ends_with_a_process_that_is_killed() -> None:
    program = "import emulators, time; print(emulators.start_bigtable().host, flush=True); time.sleep(300)"
    tests = Path(emulators.__file__).parent
    paths = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    with subprocess.Popen([sys.executable, "-c", program], env=paths, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host = process.stdout.readline().strip()
        assert answers(host)
        process.send_signal(signal.SIGKILL)
    give_up = time.monotonic() + 60
    while answers(host):
        assert time.monotonic() < give_up, f"the emulator at {host} goes on"


def test_a_program_that_does_not_start_is_reported_with_its_output() -> None:
    with pytest.raises(RuntimeError, match="cannot listen there"):
        emulators.Emulator(["/bin/sh", "-c", "echo cannot listen there"], "127.0.0.1:1")


def answers(host: str) -> bool:
    with grpc.insecure_channel(host) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True
