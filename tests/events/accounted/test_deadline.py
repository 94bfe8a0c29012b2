"""Which subscriptions can be read on account."""

import pytest
from emulators import Project
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription

from transforms.errors import WrongUse
from transforms.events.accounted.deadline import check_deadline, check_subscriptions, needed

NAME = "projects/proj-x/subscriptions/events"


def found(**fields: object) -> Subscription:
    return Subscription(name=NAME, **{"ack_deadline_seconds": 600, **fields})


def test_ten_minutes_are_enough_for_usual_checkpoints() -> None:
    check_deadline("--events", found(), 60.0)
    assert needed(60.0) < 600


def test_a_deadline_that_two_checkpoints_and_a_restart_outlast_is_refused() -> None:
    check_deadline("--events", found(ack_deadline_seconds=160), 20.0)
    with pytest.raises(WrongUse, match="back after 159 s, and this job needs 160 s: two checkpoints of 20 s"):
        check_deadline("--events", found(ack_deadline_seconds=159), 20.0)


def test_exactly_once_is_refused() -> None:
    with pytest.raises(WrongUse, match=r"--control: .*/events delivers exactly once"):
        check_deadline("--control", found(enable_exactly_once_delivery=True), 2.0)


def test_order_is_refused() -> None:
    with pytest.raises(WrongUse, match="delivers in order"):
        check_deadline("--events", found(enable_message_ordering=True), 2.0)


def test_one_that_gives_messages_up_is_refused() -> None:
    policy = DeadLetterPolicy(dead_letter_topic="projects/proj-x/topics/undelivered", max_delivery_attempts=5)
    with pytest.raises(WrongUse, match="gives a message up after 5 deliveries"):
        check_deadline("--events", found(dead_letter_policy=policy), 2.0)


def test_a_subscription_that_pushes_is_refused() -> None:
    with pytest.raises(WrongUse, match=r"pushes to https://example.com/"):
        check_deadline("--events", found(push_config=PushConfig(push_endpoint="https://example.com/")), 2.0)


def test_the_service_is_asked(pubsub: Project) -> None:
    topic = f"projects/{pubsub.name}/topics/events"
    name = f"projects/{pubsub.name}/subscriptions/events"
    PublisherClient().create_topic(name=topic)
    with SubscriberClient() as client:
        client.create_subscription(name=name, topic=topic, ack_deadline_seconds=100)
        with pytest.raises(WrongUse, match="after 100 s, and this job needs 124 s"):
            check_subscriptions({"--events": name}, 2.0)
        longer = Subscription(name=name, ack_deadline_seconds=600)
        client.update_subscription(subscription=longer, update_mask={"paths": ["ack_deadline_seconds"]})
    assert check_subscriptions({"--events": name}, 2.0) == []
    with pytest.raises(WrongUse, match=r"--control: there is no subscription projects/.*/subscriptions/control"):
        check_subscriptions({"--control": f"projects/{pubsub.name}/subscriptions/control"}, 2.0)
