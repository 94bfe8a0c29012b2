"""Where touches wait: a queue keeps nothing of what was judged; a topic gives back what a judge left."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from emulators import Project
from engage_service import NOW
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from services.engage.tracking.feeds import FeedAway, QueuedTouches, SubscribedTouches, TouchFeed
from services.engage.tracking.judge import Judge
from services.engage.tracking.touches import CLICKED, Touch, encode_touch
from services.pubsub import TopicSink
from services.sink import KeyedPayload
from transforms.channels.references import SendReference
from transforms.events.queue.append import Queue
from transforms.events.queue.mark import mark_path, read_mark
from transforms.events.queue.read import QueueReader
from transforms.users.control import Receipt

SECOND = 1_000_000


def touch(number: int) -> bytes:
    send = SendReference(f"u{number}", f"s{number}", "email", "hello", "mail", "hello_mail", None, "news")
    return encode_touch(Touch(CLICKED, send, "a", 3, NOW, "", f"t{number}"))


def judge_of(feed: TouchFeed, found: list[Receipt], after: float = 11) -> Judge:
    return Judge(feed, found.extend, lambda _user, _send: None, lambda: NOW + round(after * SECOND))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_queue_keeps_nothing_of_what_was_judged(tmp_path: Path) -> None:
    path, found = tmp_path / "touches.db", list[Receipt]()
    with Queue(path, retain=0) as queue, closing(QueuedTouches(path)) as feed:
        judge = judge_of(feed, found)
        for number in range(5):
            queue.append([touch(number)])
        while not judge.step() and len(found) < 5:
            pass
        queue.append([touch(5)])

        def gone() -> bool:
            judge.step()
            with closing(QueueReader(path)) as reader:
                return reader.span()[0] > 5

        until(gone)
    assert sorted(str(receipt.user_id) for receipt in found) == [f"u{number}" for number in range(6)]


def test_many_messages_are_judged_in_turns(tmp_path: Path) -> None:
    path, found = tmp_path / "touches.db", list[Receipt]()
    with Queue(path) as queue, closing(QueuedTouches(path)) as feed:
        judge = judge_of(feed, found)
        queue.append([touch(number) for number in range(500)])
        assert [judge.step() for _ in range(3)] == [True, True, False]
    assert len({receipt.id for receipt in found}) == 500


def test_a_topic_gives_back_what_a_judge_left(pubsub: Project) -> None:
    topic = f"projects/{pubsub.name}/topics/touches"
    subscription = f"projects/{pubsub.name}/subscriptions/judge"
    PublisherClient().create_topic(name=topic)
    with SubscriberClient() as client:
        client.create_subscription(name=subscription, topic=topic, ack_deadline_seconds=10)
    with closing(TopicSink(topic, ordering=False)) as sink:
        said = [KeyedPayload(touch(number), f"u{number}") for number in range(3)]
        asyncio.run(sink.publish([*said, KeyedPayload(b"nonsense", "")]))
    left: list[Receipt] = []
    with closing(SubscribedTouches(subscription)) as feed:
        early = judge_of(feed, left, after=5)
        until(lambda: early.step() or len(early._waiting) == 3)
    assert left == []
    found: list[Receipt] = []
    with closing(SubscribedTouches(subscription)) as feed:
        judge = judge_of(feed, found)
        until(lambda: judge.step() or len({receipt.id for receipt in found}) == 3)
        assert not judge._waiting


def test_a_judge_goes_on_when_what_is_judged_could_not_be_noted(tmp_path: Path) -> None:
    """A full disk, for one: it is told, and the next note says what this one did not."""
    path, found = tmp_path / "touches.db", list[Receipt]()
    with Queue(path) as queue, closing(QueuedTouches(path)) as feed:
        judge = judge_of(feed, found)
        judge.step()
        held = mark_path(path).rename(tmp_path / "held")
        mark_path(path).mkdir()  # which nobody can write as a file
        queue.append([touch(0)])
        with pytest.raises(FeedAway):
            judge.step()
        mark_path(path).rmdir()
        held.rename(mark_path(path))
        until(lambda: not judge.step() and read_mark(path) is not None)
    assert [receipt.user_id for receipt in found] == ["u0"]


def test_touches_do_not_wait_for_a_clock_that_was_set_back(tmp_path: Path) -> None:
    path, found = tmp_path / "touches.db", list[Receipt]()
    with Queue(path) as queue, closing(QueuedTouches(path)) as feed:
        queue.append([touch(0), touch(1)])
        judge_of(feed, found, after=5).step()
        assert found == []
    with Queue(path), closing(QueuedTouches(path)) as feed:
        judge_of(feed, found, after=-3_600).step()
    assert sorted(str(receipt.user_id) for receipt in found) == ["u0", "u1"]
