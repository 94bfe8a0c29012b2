"""The emulators. One of each runs for the whole session; a test has an instance or a project of its own there.

`BIGTABLE_EMULATOR_HOST` and `PUBSUB_EMULATOR_HOST` are set for the test only, and what it starts inherits them. Without
the emulators such tests are skipped, and fail where CI is set.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import uuid4

import hypothesis
import pytest
from emulators import Emulator, EmulatorMissing, start_bigtable, start_pubsub

# No test depends on timing: a busy machine is no failure. `make test-long` asks for the other profile.
hypothesis.settings.register_profile("test", deadline=None)
hypothesis.settings.register_profile("long", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("test")


class Instance(NamedTuple):
    """A Bigtable instance that nobody else uses."""

    host: str
    project: str
    name: str

    @property
    def url(self) -> str:
        """The store in it."""
        return f"bigtable:{self.project}/{self.name}"


class Project(NamedTuple):
    """A project of Pub/Sub that nobody else uses."""

    host: str
    name: str


@pytest.fixture(scope="session")
def bigtable_emulator() -> Iterator[Emulator]:
    """Shared; tests ask for `bigtable`."""
    yield from running(start_bigtable)


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[Emulator]:
    """Shared; tests ask for `pubsub`."""
    yield from running(start_pubsub)


@pytest.fixture
def bigtable(bigtable_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An empty instance, without tables."""
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_emulator.host)
    return Instance(bigtable_emulator.host, unique("project"), unique("instance"))


@pytest.fixture
def pubsub(pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, without topics."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    return Project(pubsub_emulator.host, unique("project"))


def running(start: Callable[[], Emulator]) -> Iterator[Emulator]:
    try:
        emulator = start()
    except EmulatorMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    yield emulator
    emulator.stop()


def unique(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:12]}"
