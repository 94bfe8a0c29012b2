"""A topic with a subscription of the test's own, and live jobs over it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_cases import Jobs, Topic

from todoke.live import find_prism


@pytest.fixture
def topic(pubsub) -> Iterator[Topic]:
    topic = Topic(pubsub.host, pubsub.name)
    yield topic
    topic.close()


@pytest.fixture(scope="session")
def prism() -> str:
    """Beam's local runner, which is not downloaded for a test."""
    found = find_prism()
    if found.path is None:
        missing = "no Prism and no Go to build it: `make prism`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found.path


@pytest.fixture
def jobs(topic: Topic, prism: str, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(prism, topic.subscription, tmp_path)
    yield jobs
    jobs.close()
