"""A live job whose steps are all in one process: users and counts are kept in it, and messages acknowledged on account.

What its steps share is the `Job`'s: messages in flight, open feeds, definitions, progress. See
docs/explanation/live.md.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_pipelines.options import Config
from beam_pipelines.runtime import Inputs
from transforms.channels.destinations import Channels
from transforms.channels.live.transforms import DeliverLive
from transforms.events.live.queued import QueuePlace
from transforms.events.live.transforms import Acknowledge, Publish, ReadControlTable, ReadLive, ReadQueue
from transforms.events.sources import EventQueue, Subscription
from transforms.events.transforms import WriteDeadLetters
from transforms.job import Job
from transforms.metrics.live.transforms import CountEnded
from transforms.users.live.transforms import AdvanceLive, TakeIn
from transforms.users.way_back.transforms import Announce, PublishControl

__all__ = ["OneProcess"]


class OneProcess:
    """A `Runtime` for a local runner, whose worker is the process that launches the job."""

    def __init__(self, config: Config, job: Job) -> None:
        assert config.store is not None
        assert isinstance(config.source, Subscription | EventQueue)
        self._config = config
        self._source = config.source
        self._store = config.store
        self._job = job

    def read(self, pipeline: beam.Pipeline) -> Inputs:
        """What waits together as one element; decoded and brought to shards in one step."""
        source = self._source
        if isinstance(source, EventQueue):
            reading: beam.PTransform = ReadQueue(QueuePlace(Path(source.path), self._store), self._job)
        else:
            reading = ReadLive(source.path, self._job)
        taken = pipeline | "Read" >> reading | "TakeEvents" >> TakeIn(self._config.definitions, self._job)
        announcements = taken.announcements | "CountAnnouncements" >> CountEnded(self._store)
        undecoded = taken.dead_letters | "CountUndecoded" >> CountEnded(self._store)
        return Inputs(taken.users, taken.anonymous, announcements, undecoded, None)

    def read_back(self, pipeline: beam.Pipeline) -> Inputs:
        """From the store's control table, or from the control topic where there is one."""
        topic = self._config.control
        reading = ReadControlTable(self._store, self._job) if topic is None else ReadLive(topic.path, self._job)
        take = TakeIn(self._config.definitions, self._job, control=True)
        taken = pipeline | "ReadControl" >> reading | "TakeControl" >> take
        undecoded = taken.dead_letters | "CountUndecodedControl" >> CountEnded(self._store)
        return Inputs(taken.users, taken.anonymous, None, undecoded, None)

    def advance(self, *, anonymous: bool = False) -> beam.PTransform:
        """With users in this process, by shard."""
        return AdvanceLive(self._config.definitions, self._store, self._job, anonymous=anonymous)

    def announce(self) -> beam.PTransform:
        """Each user by a message of the control topic."""
        return Announce(self._store, self._job)

    def deliver(self, channels: Channels) -> beam.PTransform:
        """At once, by channel."""
        return DeliverLive(self._config.definitions, channels, self._store, job=self._job)

    def write_dead_letters(self) -> beam.PTransform:
        """To a file or a topic."""
        to, kept_for = self._config.dead_letters, self._config.letters_kept_for
        return WriteDeadLetters(to, store=self._store, kept_for=kept_for, live=True)

    def publish_back(self) -> beam.PTransform:
        """To the control topic, or the store's control table."""
        topic = self._config.control_topic
        return PublishControl(self._store) if topic is None else Publish(topic)

    def count(self, undecoded: beam.PCollection, *steps: Any) -> None:
        """Nothing: each step counts in the transaction of what it counts."""

    def acknowledge(self, ended: Sequence[beam.PCollection]) -> None:
        """When the last of what a message became has ended."""
        _ = ended | "Accounted" >> beam.Flatten() | "Acknowledge" >> Acknowledge(self._job)
