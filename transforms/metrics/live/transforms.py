"""What a live job on one machine counts beside users and the ledger: what ends before it comes to a user.

There what is counted is written with what it counts: a user's rows and their tallies are one transaction
(`WriteBatch`), and so are the ledger's outcomes and theirs (`CountedLedger`). Here are messages that end without
either.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.events.live.feed import now
from transforms.storage.transforms import StoreDoFn
from transforms.users.inputs.transforms import tally_letter
from transforms.users.tally import Tallies

__all__ = ["CountEnded"]


class CountEnded(beam.PTransform):
    """Count messages that end here, and let them go on once that stands: what was not counted comes again.

    They are dead letters of what could not be decoded, and events that concern no user.

    Args:
      store: URL of the store.
    """

    def __init__(self, store: str) -> None:
        self.store = store

    def expand(self, ended: beam.PCollection[DeadLetter | Event]) -> Any:
        """Wire the step."""
        return ended | "Count" >> beam.ParDo(_CountEnded(self.store))


class _CountEnded(StoreDoFn):
    def start_bundle(self) -> None:
        self._ended: list[WindowedValue] = []

    def process(self, message: DeadLetter | Event, timestamp: Any = beam.DoFn.TimestampParam) -> None:
        self._ended.append(WindowedValue(message, timestamp, (GlobalWindow(),)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        tallies = Tallies()
        for each in self._ended:
            if isinstance(each.value, DeadLetter):
                tallies.count(*tally_letter(each.value))
            else:
                tallies.count("accounts", "", "applied")
        self._store.add_metrics(tallies.rows(now()))
        yield from self._ended
