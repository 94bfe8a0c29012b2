"""What a live job asks of the place where it runs: how to read, advance, deliver, publish back, count, acknowledge.

`portable.Portable` and `accounted.Accounted` are for any runner of Beam, `one_process.OneProcess` for this machine. The
graph itself stands once, in `realtime.build_live`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import apache_beam as beam

from transforms.channels.destinations import Channels

__all__ = ["Inputs", "Runtime"]


class Inputs(NamedTuple):
    """What was read, as collections: inputs of users and of anonymous ids by key, events that concern no user, messages
    that cannot be decoded, and tallies. Keys are whatever `Runtime.advance` goes by.
    """

    users: beam.PCollection
    anonymous: beam.PCollection
    announcements: beam.PCollection | None
    dead_letters: beam.PCollection
    tallies: beam.PCollection | None


class Runtime(Protocol):
    """How the steps of a live job are done. Methods that add several steps to the graph say their labels themselves."""

    def read(self, pipeline: beam.Pipeline) -> Inputs:
        """Read events, decode them, and bring them to their keys."""

    def read_back(self, pipeline: beam.Pipeline) -> Inputs:
        """Read what goes back to users likewise; none of it is an announcement."""

    def advance(self, *, anonymous: bool = False) -> beam.PTransform:
        """Apply inputs to users, or to anonymous ids.

        Outputs are `sends`, `forwarded` (inputs for users: of anonymous ids as `advance` takes them, else by user id),
        `taken`, `refused` and `accounted`; and `tallies` where steps do not count by themselves.
        """

    def announce(self) -> beam.PTransform:
        """Tell every user of events that concern none. Outputs are `payloads`, to be published for users, and
        `accounted`.
        """

    def deliver(self, channels: Channels) -> beam.PTransform:
        """Hand sends over. Among the outputs are `receipts`."""

    def write_dead_letters(self) -> beam.PTransform:
        """Write dead letters; gives the handles of those written."""

    def publish_back(self) -> beam.PTransform:
        """Publish (payload, handle) for users; gives the handles of those published."""

    def count(self, undecoded: beam.PCollection, *steps: Any) -> None:
        """Sum what was counted into the metrics table: what cannot be decoded, and the `tallies` of steps."""

    def acknowledge(self, ended: Sequence[beam.PCollection]) -> None:
        """Acknowledge messages whose handles come, in lists: whatever became of them is durable."""
