"""A live job on any runner of Beam whose messages are acknowledged on account: `--read accounted`.

Its steps read and acknowledge by themselves, by handles that travel with the messages. See docs/engines.md.
"""

import logging
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.options import Config
from beam_pipelines.portable import Portable
from beam_pipelines.runtime import Inputs
from transforms.campaigns.transforms import Announced
from transforms.events.accounted.deadline import check_subscriptions, needed
from transforms.events.accounted.transforms import AcknowledgeCovered, ReadAccounted
from transforms.events.live.transforms import Publish
from transforms.events.sources import Subscription
from transforms.events.transforms import Decode, WriteDeadLetters
from transforms.job import Job
from transforms.users.accounted.transforms import AdvanceAccounted, AnnounceAccounted
from transforms.users.inputs.transforms import KeyInputs
from transforms.users.way_back.transforms import DecodeControl

__all__ = ["Accounted", "check_accounted"]

_log = logging.getLogger(__name__)


def check_accounted(config: Config, options: PipelineOptions) -> None:
    """Check that subscriptions can be read on account by a job with these options of Beam.

    Raises:
      WrongUse: one cannot.
    """
    assert isinstance(config.source, Subscription)
    assert config.control is not None
    said = options.get_all_options(drop_default=True, retain_unknown_options=True)
    interval = int(said.get("checkpointing_interval", 0)) / 1000  # milliseconds, of Flink's runner alone
    named = {"--events": config.source.path, "--control": config.control.path}
    for path in check_subscriptions(named, interval):
        _log.warning("%s cannot be looked at: its deadline must be %g s or more", path, needed(interval))


class Accounted(Portable):
    """A `Runtime` like `Portable`, whose last step acknowledges."""

    def __init__(self, config: Config, job: Job) -> None:
        super().__init__(config, job)
        self._beats: list[beam.PCollection] = []

    def read(self, pipeline: beam.Pipeline) -> Inputs:
        """By readers of our own, one message an element."""
        messages = self._read("Read", pipeline, self._config.source)
        decoded = messages | "Decode" >> Decode(announced=Announced(self._config.definitions, self._job))
        keyed = decoded.events | "KeyInputs" >> KeyInputs(job=self._job)
        return Inputs(keyed.users, keyed.anonymous, keyed.announcements, decoded.dead_letters, keyed.tallies)

    def read_back(self, pipeline: beam.Pipeline) -> Inputs:
        """From the control topic."""
        messages = self._read("ReadControl", pipeline, self._control)
        control = messages | "DecodeControl" >> DecodeControl(self._job, handles_go_one_way=True)
        return Inputs(control.users, control.anonymous, None, control.dead_letters, None)

    def advance(self, *, anonymous: bool = False) -> beam.PTransform:
        """With the runner's state and timers, by user; what a bundle makes by itself goes to the control topic."""
        texts, topic = self._config.definitions, self._control_topic
        return AdvanceAccounted(texts, self._store, topic, self._job, anonymous=anonymous)

    def announce(self) -> beam.PTransform:
        """Each user by a message of the control topic, before the handle goes on."""
        return AnnounceAccounted(self._store, self._control_topic)

    def write_dead_letters(self) -> beam.PTransform:
        """To a topic, or a file that every worker can write."""
        to, kept_for = self._config.dead_letters, self._config.letters_kept_for
        return WriteDeadLetters(to, store=self._store, kept_for=kept_for, live=True)

    def publish_back(self) -> beam.PTransform:
        """To the control topic."""
        return Publish(self._control_topic)

    def acknowledge(self, ended: Sequence[beam.PCollection]) -> None:
        """When a checkpoint covers what a message became."""
        handles = ended | "Accounted" >> beam.Flatten()
        beats = self._beats | "Beats" >> beam.Flatten()
        _ = (handles, beats) | "Acknowledge" >> AcknowledgeCovered(self._job)

    def _read(self, label: str, pipeline: beam.Pipeline, source: Any) -> beam.PCollection:
        assert isinstance(source, Subscription)
        found = pipeline | label >> ReadAccounted(source.path, self._job)
        self._beats.append(found.beats)
        return found.messages
