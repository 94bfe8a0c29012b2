"""A topic with a subscription of the test's own, and live jobs over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_cases import Jobs, Topic


@pytest.fixture
def topic(pubsub) -> Iterator[Topic]:
    topic = Topic(pubsub.host, pubsub.name)
    yield topic
    topic.close()


@pytest.fixture
def jobs(topic: Topic, prism: str, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(prism, topic.subscription, tmp_path)
    yield jobs
    jobs.close()
