"""Reading a subscription in this process, against the emulator."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from google.api_core.exceptions import NotFound
from live_cases import Topic, wait_for

from transforms.events.live import pubsub as module
from transforms.events.live.feed import Arrived, Feeds
from transforms.events.live.inflight import InFlight
from transforms.events.live.pubsub import IDLE, START, Subscriber

Open = Callable[..., Subscriber]


@pytest.fixture
def registry() -> InFlight:
    return InFlight()


@contextmanager
def opened(topic: Topic, registry: InFlight, **more) -> Iterator[Subscriber]:
    subscriber = Subscriber(topic.subscription, registry, **more)
    try:
        yield subscriber
    finally:
        subscriber.close()


def take(subscriber: Subscriber, number: int) -> list[Arrived]:
    arrived: list[Arrived] = []

    def more() -> bool:
        while len(arrived) < number and (found := subscriber.next()) is not None:
            arrived.append(found)
        return len(arrived) == number

    wait_for(more)
    return arrived


def test_messages_come_with_their_publish_times_and_go_when_settled(topic: Topic, registry: InFlight) -> None:
    payloads = [f"m{number}".encode() for number in range(40)]
    before = time.time_ns() // 1000 - 5_000_000
    topic.publish(*payloads)
    with opened(topic, registry) as subscriber:
        arrived = take(subscriber, 40)
        assert sorted(message.payload for message in arrived) == sorted(payloads)
        assert all(before < message.published < time.time_ns() // 1000 + 5_000_000 for message in arrived)
        registry.settle([message.handle for message in arrived])
        assert len(registry) == 0
    assert topic.pull(12) == []


def test_closing_gives_back_what_was_not_handed_on(topic: Topic, registry: InFlight) -> None:
    topic.publish(*(str(number).encode() for number in range(30)))
    with opened(topic, registry) as subscriber:
        taken = take(subscriber, 10)
        registry.settle([message.handle for message in taken])
    returned: list[bytes] = []
    wait_for(lambda: returned.extend(topic.pull(0.2)) or len(returned) >= 20)
    assert sorted(returned) == sorted({str(n).encode() for n in range(30)} - {message.payload for message in taken})


def test_a_message_as_large_as_the_service_takes(topic: Topic, registry: InFlight) -> None:
    topic.publish(b"x" * 9_999_000)
    with opened(topic, registry) as subscriber:
        (large,) = take(subscriber, 1)
        assert len(large.payload) == 9_999_000
        registry.settle([large.handle])


def test_leases_are_extended_while_a_message_is_in_flight(topic: Topic, registry: InFlight) -> None:
    topic.publish(b"slow")
    with opened(topic, registry) as subscriber:
        (slow,) = take(subscriber, 1)
        assert topic.pull(13) == []  # beyond the subscription's deadline of 10 s
        registry.settle([slow.handle])


def test_no_more_is_held_than_may_be_and_silence_then_says_nothing(
    topic: Topic, registry: InFlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_MESSAGES", 5)
    monkeypatch.setattr(module, "PULLERS", 1)
    topic.publish(*(str(number).encode() for number in range(12)))
    moment = [time.time_ns() // 1000]
    with opened(topic, registry, clock=lambda: moment[0]) as subscriber:
        arrived = take(subscriber, 5)
        assert subscriber.watermark() == 0
        moment[0] += START + 10 * IDLE
        assert subscriber.next() is None
        assert subscriber.watermark() == max(message.published for message in arrived)
        for more in (5, 2):
            registry.settle([message.handle for message in arrived])
            arrived = take(subscriber, more)
        registry.settle([message.handle for message in arrived])


def test_an_idle_subscription_lets_time_pass_and_a_message_holds_it(topic: Topic, registry: InFlight) -> None:
    moment = [time.time_ns() // 1000]
    with opened(topic, registry, clock=lambda: moment[0]) as subscriber:
        assert subscriber.watermark() == 0
        moment[0] += START + IDLE
        assert subscriber.watermark() == moment[0] - IDLE
        before = subscriber.watermark()
        topic.publish(b"a")
        moment[0] += 600_000_000
        (message,) = take(subscriber, 1)
        assert subscriber.watermark() == max(before, message.published)


def test_a_subscription_that_is_not_there_raises(topic: Topic, registry: InFlight) -> None:
    subscriber = Subscriber(topic.subscription + "-missing", registry)
    with pytest.raises(NotFound):
        wait_for(lambda: subscriber.next() is not None)
    subscriber.close()


def test_a_service_that_does_not_answer_is_an_error(registry: InFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ConnectionError, match=r"does not answer at 127\.0\.0\.1:1"):
        Subscriber("projects/proj-x/subscriptions/events", registry)


def test_readers_share_a_feed_and_the_last_one_closes_it(topic: Topic, registry: InFlight) -> None:
    feeds = Feeds()
    topic.publish(b"a", b"b")
    made: list[Subscriber] = []

    def make() -> Subscriber:
        made.append(Subscriber(topic.subscription, registry))
        return made[-1]

    one, two = feeds.acquire("events", make), feeds.acquire("events", make)
    found: list[bytes] = []
    wait_for(lambda: found.extend(t[0].payload for r in (one, two) if (t := r.take())) or len(found) == 2)
    assert sorted(found) == [b"a", b"b"]
    assert len(made) == 1
    feeds.release("events")
    topic.publish(b"c")
    wait_for(lambda: (taken := two.take()) is not None and taken[0].payload == b"c")
    feeds.release("events")
    assert two.take() is None


def test_a_paused_feed_hands_on_nothing_and_its_watermark_stands(topic: Topic, registry: InFlight) -> None:
    feeds = Feeds()
    feed = feeds.acquire("events", lambda: Subscriber(topic.subscription, registry))
    feeds.pause()
    topic.publish(b"a")
    assert feed.take() is None
    assert feed.watermark() == 0
    feeds.close()
    returned: list[bytes] = []
    wait_for(lambda: returned.extend(topic.pull(0.2)) or returned)
    assert returned == [b"a"]
