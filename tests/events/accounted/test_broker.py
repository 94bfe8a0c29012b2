"""Pulling from the Pub/Sub emulator, and acknowledging from another client."""

import grpc
import pytest
from emulators import Project
from flaky import Flaky, refuse
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from transforms.events.accounted import broker as brokers
from transforms.events.accounted.broker import Broker, SubscriptionReader
from transforms.events.accounted.handles import by_subscription, handle_of

Code = grpc.StatusCode


@pytest.fixture
def subscription(pubsub: Project) -> str:
    topic, name = f"projects/{pubsub.name}/topics/events", f"projects/{pubsub.name}/subscriptions/events"
    publisher = PublisherClient()
    publisher.create_topic(name=topic)
    with SubscriberClient() as client:
        client.create_subscription(name=name, topic=topic, ack_deadline_seconds=10)
    for number in range(3):
        publisher.publish(topic, str(number).encode()).result(30)
    return name


def pulled(reader: SubscriptionReader) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < 3:
        found += [each.payload for each in reader.pull(wait=True)]
    return found


def test_any_client_may_acknowledge(subscription: str) -> None:
    one, other = Broker(), Broker()
    found = []
    while len(found) < 3:
        found += one.pull(subscription, wait=True) or []
    one.close()
    assert sorted(each.payload for each in found) == [b"0", b"1", b"2"]
    handles = [handle_of(subscription, each.ack_id) for each in found]
    assert by_subscription([*handles, handles[0]]) == {subscription: [each.ack_id for each in found]}
    assert other.acknowledge(handles) == 0
    other.close()


def test_the_watermark_is_at_what_was_handed_on_once_the_start_is_over(subscription: str) -> None:
    time = [1_000_000_000_000_000]
    reader = SubscriptionReader(Broker(), subscription, clock=lambda: time[0])
    first = reader.pull(wait=True)
    assert first
    assert reader.watermark == 0
    time[0] += 60_000_000
    reader.pull(wait=False)
    assert reader.watermark >= first[0].published


def test_what_cannot_be_acknowledged_is_counted_and_raises_nothing(
    pubsub: Project, subscription: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Flaky(pubsub.host)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", proxy.host)
    monkeypatch.setattr(brokers, "ACKNOWLEDGE_SECONDS", 0.5)
    broker = Broker()
    found = broker.pull(subscription, wait=True) or []
    handles = [handle_of(subscription, each.ack_id) for each in found]
    proxy.plan("Acknowledge", refuse(grpc.StatusCode.UNAVAILABLE))
    assert broker.acknowledge(handles) == 0  # it was tried again
    proxy.always("Acknowledge", refuse(grpc.StatusCode.UNAVAILABLE))
    assert broker.acknowledge(handles) == len(handles)
    proxy.always("Acknowledge", refuse(grpc.StatusCode.PERMISSION_DENIED))
    assert broker.acknowledge(handles) == len(handles)
    broker.close()
    proxy.stop()


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.INTERNAL, Code.ABORTED, Code.UNKNOWN, Code.RESOURCE_EXHAUSTED])
def test_a_service_that_is_away_is_no_silence(
    code: grpc.StatusCode, subscription: str, pubsub: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Flaky(pubsub.host)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", proxy.host)
    monkeypatch.setattr(brokers, "AWAY_SECONDS", 0.0)
    time = [1_000_000_000_000_000]
    reader = SubscriptionReader(Broker(), subscription, clock=lambda: time[0])
    proxy.always("Pull", refuse(code))
    for _ in range(3):
        time[0] += 60_000_000
        assert reader.pull(wait=False) == []
    assert reader.watermark == 0
    proxy.always("Pull", None)
    assert sorted(pulled(reader)) == [b"0", b"1", b"2"]
    proxy.stop()
