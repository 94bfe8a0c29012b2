"""A live job on any runner of Beam: state and timers are the runner's, and Beam's own source acknowledges."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from beam_pipelines.options import Config
from beam_pipelines.runtime import Inputs
from transforms.campaigns.transforms import Announced
from transforms.channels.destinations import Channels
from transforms.channels.waiting.transforms import DeliverUnbounded
from transforms.events.live.transforms import Publish
from transforms.events.transforms import Decode, ReadEvents, WriteDeadLetters
from transforms.job import Job
from transforms.metrics.transforms import WriteMetrics
from transforms.users.inputs.transforms import CountDeadLetters, KeyInputs
from transforms.users.transforms import AdvanceUnbounded
from transforms.users.way_back.transforms import AnnounceByRange, DecodeControl

__all__ = ["Portable"]


class Portable:
    """A `Runtime` whose labels, state and coders are a schema: running jobs are updated over them."""

    def __init__(self, config: Config, job: Job | None = None) -> None:
        assert config.store is not None
        assert config.control is not None
        assert config.control_topic is not None
        self._config = config
        self._control = config.control
        self._control_topic = config.control_topic
        self._store = config.store
        self._job = job or Job()

    def read(self, pipeline: beam.Pipeline) -> Inputs:
        """By Beam's source, one message an element."""
        decode = Decode(announced=Announced(self._config.definitions, self._job))
        decoded = pipeline | "Read" >> ReadEvents(self._config.source) | "Decode" >> decode
        keyed = decoded.events | "KeyInputs" >> KeyInputs(job=self._job)
        return Inputs(keyed.users, keyed.anonymous, keyed.announcements, decoded.dead_letters, keyed.tallies)

    def read_back(self, pipeline: beam.Pipeline) -> Inputs:
        """From the control topic."""
        control = pipeline | "ReadControl" >> ReadEvents(self._control) | "DecodeControl" >> DecodeControl(self._job)
        return Inputs(control.users, control.anonymous, None, control.dead_letters, None)

    def advance(self, *, anonymous: bool = False) -> beam.PTransform:  # noqa: ARG002 - a key is a key
        """With the runner's state and timers, by user."""
        return AdvanceUnbounded(self._config.definitions, self._store, self._job)

    def announce(self) -> beam.PTransform:
        """Each user by a message of the control topic."""
        return AnnounceByRange(self._store)

    def deliver(self, channels: Channels) -> beam.PTransform:
        """By shard, after a checkpoint of the runner."""
        return DeliverUnbounded(self._config.definitions, channels, self._store, job=self._job)

    def write_dead_letters(self) -> beam.PTransform:
        """To a topic; no message has a handle."""
        to, kept_for = self._config.dead_letters, self._config.letters_kept_for
        return WriteDeadLetters(to, store=self._store, kept_for=kept_for)

    def publish_back(self) -> beam.PTransform:
        """To the control topic."""
        return Publish(self._control_topic)

    def count(self, undecoded: beam.PCollection, *steps: Any) -> None:
        """In Beam's windows."""
        letters = undecoded | "CountDeadLetters" >> CountDeadLetters()
        tallies = *(step.tallies for step in steps), letters
        _ = tallies | "Tallies" >> beam.Flatten() | "Metrics" >> WriteMetrics(self._store)

    def acknowledge(self, ended: Sequence[beam.PCollection]) -> None:
        """Nothing: Beam's source does it with the checkpoint of its bundle."""
