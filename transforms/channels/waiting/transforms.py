"""Deliver live on any runner: sends wait in state for their turn, and for their time.

A key of state is read whole, and what a bundle makes of it is committed together. So no key may hold a whole campaign:
a shard delivers so many sends in a turn, and everything else waits in keys that are divided further, by user and by
when it is due (docs/scale.md).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.effects import Send
from transforms.campaigns.release import Release, Texts
from transforms.channels.destinations import Channels
from transforms.channels.flight import SHARDS, WAITING_SHARDS, waiting_key
from transforms.channels.outcome import Delivery
from transforms.channels.transforms import RECEIPTS, Delivering, sharded, wall_clock
from transforms.job import Job

__all__ = ["LATER", "WAITING_SECONDS", "DeliverAgain", "DeliverUnbounded", "HandedOver", "put_off"]

#: What the steps put out beside tallies and receipts: what is to come again.
LATER = "later"
#: So many sends a shard delivers in a turn. The others wait in the smaller keys of `DeliverAgain`, and not until a turn
#: has been through all that a campaign decided meanwhile, which no bundle could hold.
_TURN = 1_000
#: What is due in the same so many seconds waits together.
WAITING_SECONDS = 10

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, Send])


class DeliverUnbounded(beam.PTransform):
    """Deliver live: sends wait in state until a timer takes them together.

    What quota refuses, or falls into quiet hours, waits on for its time. Returns outputs `tallies` and `receipts`.
    """

    def __init__(
        self,
        texts: Texts | Release,
        channels: Channels,
        store: str | None,
        clock: Callable[[], int] = wall_clock,
        *,
        job: Job | None = None,
    ) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store
        self.clock = clock
        self.job = job or Job()

    def steps(self) -> tuple[beam.DoFn, beam.DoFn]:
        """The step that takes sends in turns, and that in which they wait, by themselves."""
        place = self.texts, self.channels, self.store, self.clock, self.job
        return _DeliverQueue(*place, bounded=False), DeliverAgain(*place, bounded=False)

    def expand(self, sends: beam.PCollection[Send]) -> Any:
        """Deliver shard by shard: the queue is committed before the timer fires, which is the checkpoint."""
        deliver, again = (beam.ParDo(step) for step in self.steps())
        sent = sends | "Shard" >> beam.Map(sharded) | "Send" >> deliver.with_outputs(RECEIPTS, LATER, main="tallies")
        later = sent[LATER] | "Typed" >> beam.Map(_itself)
        resent = later | "SendAgain" >> again.with_outputs(RECEIPTS, main="tallies")
        return HandedOver(
            (sent.tallies, resent.tallies) | "Tallies" >> beam.Flatten(),
            (sent[RECEIPTS], resent[RECEIPTS]) | "Receipts" >> beam.Flatten(),
        )


class HandedOver(NamedTuple):
    """The outputs of `DeliverUnbounded`: what was counted, and messages of the control topic."""

    tallies: beam.PCollection
    receipts: beam.PCollection


def put_off(waiting: Iterable[tuple[int, Send]], shards: int, seconds: int) -> Iterator[Any]:
    """What is to come again, with its time, for `DeliverAgain`; see `waiting_key`."""
    for at, send in waiting:
        yield beam.pvalue.TaggedOutput(LATER, (waiting_key(send, at, shards, seconds), _encoder.encode((at, send))))


class DeliverAgain(Delivering):
    """Takes what `put_off` gave out, and delivers it at its time.

    It waits in `LATER`, which is read only when the first of it is due, at `DUE` (microseconds). What came when it was
    too late already has the time 0: it has not waited for its turn.
    """

    LATER = BagStateSpec("later", BytesCoder())
    DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
    RETRY = TimerSpec("retry", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, bytes],
        later: Any = beam.DoFn.StateParam(LATER),
        due: Any = beam.DoFn.StateParam(DUE),
        retry: Any = beam.DoFn.TimerParam(RETRY),
    ) -> None:
        """Let a send wait."""
        self._wait([_decoder.decode(element[1])], later, due, retry)

    @on_timer(RETRY)
    def deliver_again(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        later: Any = beam.DoFn.StateParam(LATER),
        due: Any = beam.DoFn.StateParam(DUE),
        retry: Any = beam.DoFn.TimerParam(RETRY),
    ) -> Iterator[Any]:
        """Deliver what is due; a timer that came early is set again."""
        if self.is_drain(timestamp):
            return
        now, first = self.clock(), due.read()
        if first is not None and first > now:
            # The watermark is ahead of the wall clock by that much at least, and may stay so.
            _set(retry, timestamp.micros + first - now)
            return
        waiting = [_decoder.decode(data) for data in later.read()]
        later.clear()
        due.clear()
        again: list[Delivery] = []
        yield from self.hand_over([send for at, send in waiting if 0 < at <= now], again, waited=True)
        if too_late := [send for at, send in waiting if at == 0]:
            yield from self.hand_over(too_late, again)
        left = [(at, send) for at, send in waiting if at > now]
        self._wait([*left, *((delivery.retry_at or 0, delivery.send) for delivery in again)], later, due, retry)

    def _wait(self, waiting: list[tuple[int, Send]], later: Any, due: Any, retry: Any) -> None:
        """Let sends wait until their times, and set the timer if the first of them is the first of all."""
        for each in waiting:
            later.add(_encoder.encode(each))
        first, known = min((at for at, _ in waiting), default=None), due.read()
        if first is not None and (known is None or first < known):
            due.write(first)
            _set(retry, first)


class _DeliverQueue(Delivering):
    """Sends wait in `QUEUE` for their turn, which is the next that the timer gives them.

    What waits for longer goes to `DeliverAgain`. Jobs of before kept it here, in `LATER`; when its timer fires, it goes
    there, too.
    """

    QUEUE = BagStateSpec("queue", BytesCoder())
    PACE = ReadModifyWriteStateSpec("pace", BytesCoder())
    TURN = TimerSpec("turn", TimeDomain.WATERMARK)
    LATER, DUE = DeliverAgain.LATER, DeliverAgain.DUE
    RETRY = TimerSpec("retry", TimeDomain.WATERMARK)

    def process(
        self,
        element: tuple[str, bytes],
        timestamp: Any = beam.DoFn.TimestampParam,
        queue: Any = beam.DoFn.StateParam(QUEUE),
        turn: Any = beam.DoFn.TimerParam(TURN),
    ) -> None:
        queue.add(element[1])
        turn.set(timestamp)

    @on_timer(TURN)
    def deliver(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        queue: Any = beam.DoFn.StateParam(QUEUE),
        pace: Any = beam.DoFn.StateParam(PACE),
    ) -> Iterator[Any]:
        """Deliver what waits; what cannot go out now waits for its time."""
        if self.is_drain(timestamp):
            return
        sends, waiting = self.paced([self._decoder.decode(data) for data in queue.read()], pace, SHARDS)
        queue.clear()
        now, again = self.clock(), list[Delivery]()
        yield from self.hand_over(sends[:_TURN], again)
        waiting += [(delivery.retry_at or 0, delivery.send) for delivery in again]
        at = max(1, min(now, timestamp.micros))  # their timers fire at once, also where the watermark is far behind
        waiting += [(at if send.not_after >= now else 0, send) for send in sends[_TURN:]]
        yield from put_off(waiting, WAITING_SHARDS, WAITING_SECONDS)

    @on_timer(RETRY)
    def move(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        later: Any = beam.DoFn.StateParam(LATER),
        due: Any = beam.DoFn.StateParam(DUE),
        retry: Any = beam.DoFn.TimerParam(RETRY),
    ) -> Iterator[Any]:
        """Pass on what waits here, with its times."""
        if not self.is_drain(timestamp):
            yield from put_off(map(_decoder.decode, later.read()), WAITING_SHARDS, WAITING_SECONDS)
            for each in (later, due, retry):  # Beam knows a timer by the parameter alone
                each.clear()


def _itself(keyed: tuple[str, bytes]) -> tuple[str, bytes]:
    """Says the types before a stateful step."""
    return keyed


def _set(timer: Any, at: int) -> None:
    """Set a timer, in whole milliseconds, which is what Beam's timers know: never too early."""
    timer.set(Timestamp(micros=-(-at // 1000) * 1000))
