"""Deliver on one machine: what waits to be sent goes out together, at once.

The rows of the users who decided it are written before a send gets here, and nothing else outlives this process: so a
checkpoint of the runner would make nothing safer. With it each shard would wait for the watermark, and be delivered by
itself.

Prism runs eight bundles at a time, of all steps. If each bundle with a slow answer in it took a place, a slow provider
would hold up everything: so a channel has one, and what comes meanwhile goes into the next.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import GlobalWindow

from transforms.campaigns.effects import Send
from transforms.campaigns.release import Release, Texts
from transforms.channels.destinations import Channels
from transforms.channels.flight import SHARDS
from transforms.channels.outcome import Delivery
from transforms.channels.transforms import RECEIPTS, Delivering, wall_clock
from transforms.channels.waiting.transforms import LATER, DeliverAgain, put_off
from transforms.job import Job
from transforms.users.inputs.transforms import Keyed, globally

__all__ = ["DeliverLive", "Delivered"]

#: What is due in the same so many seconds waits together. Prism keeps a little of each key for as long as it runs.
_WAITING_SECONDS = 60

_encoder = msgspec.msgpack.Encoder()


class Delivered(NamedTuple):
    """The output: messages of the control topic that say what became of each send."""

    receipts: beam.PCollection


class DeliverLive(beam.PTransform):
    """Like `DeliverUnbounded`, without a queue: only what quota refuses, falls into quiet hours, or comes faster than
    its campaign's rate, waits in state.

    What becomes of sends is counted with the ledger's rows. Returns `Delivered`.
    """

    def __init__(
        self,
        texts: Texts | Release,
        channels: Channels,
        store: str,
        clock: Callable[[], int] = wall_clock,
        *,
        job: Job | None = None,
    ) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store
        self.clock = clock
        self.job = job or Job()

    def expand(self, sends: beam.PCollection[Send]) -> Any:
        """Deliver what comes together; let wait what must, and deliver it then."""
        place = self.texts, self.channels, self.store, self.clock, self.job
        deliver = beam.ParDo(_DeliverAtOnce(*place, bounded=False))
        sent = sends | "Channel" >> beam.Map(_by_channel) | "Send" >> deliver.with_outputs(RECEIPTS, LATER)
        deliver_again = beam.ParDo(_DeliverAgain(*place, bounded=False))
        again = sent[LATER] | "Typed" >> beam.Map(_itself) | "SendAgain" >> deliver_again.with_outputs(RECEIPTS)
        return Delivered((sent[RECEIPTS], again[RECEIPTS]) | "Receipts" >> beam.Flatten())


class _DeliverAtOnce(Delivering):
    counts_in_ledger = True
    #: A step with state has each key, which is a channel, in one bundle at a time.
    PACE = ReadModifyWriteStateSpec("pace", BytesCoder())

    def start_bundle(self) -> None:
        super().start_bundle()
        self._sends: list[Send] = []
        self._paced: list[tuple[int, Send]] = []
        self._latest: Any = GlobalWindow().start

    def process(
        self,
        element: Keyed,
        timestamp: Any = beam.DoFn.TimestampParam,
        pace: Any = beam.DoFn.StateParam(PACE),
    ) -> None:
        if not self.is_drain(timestamp):
            at_once, later = self.paced([self._decoder.decode(element[1])], pace, 1)
            self._sends += at_once
            self._paced += later
        self._latest = max(self._latest, timestamp)

    def finish_bundle(self) -> Iterator[Any]:
        self._sends.sort(key=lambda send: (send.decided_at, send.id))
        again: list[Delivery] = []
        yield from globally(self.hand_over(self._sends, again), self._latest)
        waiting = [*self._paced, *((each.retry_at or 0, each.send) for each in again)]
        yield from globally(put_off(waiting, SHARDS, _WAITING_SECONDS), self._latest)


class _DeliverAgain(DeliverAgain):
    counts_in_ledger = True


def _by_channel(send: Send) -> Keyed:
    return send.channel, _encoder.encode(send)


def _itself(sharded: Keyed) -> Keyed:
    """Says the types before a stateful step."""
    return sharded
