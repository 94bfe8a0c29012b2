"""Deliver: sends keyed by channel and shard, each claimed, rendered, handed off and recorded.

The shuffle before it is the checkpoint: what was decided is durable before any side effect. The number of shards
bounds how many couriers work at a time.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import time
from typing import Any
from zlib import crc32

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts, compiled
from transforms.channels.address import parse_fcm, parse_smtp
from transforms.channels.courier import Courier, Delivery
from transforms.channels.email import Mail
from transforms.channels.outbox import Outbox
from transforms.channels.outcome import Channel
from transforms.channels.push import Push
from transforms.channels.settings import MailSettings
from transforms.events.progress import progress
from transforms.storage.open import open_store
from transforms.users.tally import Tallies

__all__ = ["Channels", "DeliverBounded", "DeliverUnbounded"]

#: Shards of a channel, which bound concurrency and split rate limits.
SHARDS = 32

_encoder = msgspec.msgpack.Encoder()


class Channels(msgspec.Struct, frozen=True):
    """Where messages go. A channel without a URL writes to the outbox, a folder.

    `replay` lets named channels take `decided_at` as their clock, as the outbox of a bounded run does. It
    is for replaying history into servers on this machine; anybody else must see old sends expire.
    """

    outbox: str
    push: str | None = None
    email: str | None = None
    replay: bool = False


class DeliverBounded(beam.PTransform):
    """Deliver the sends of a bounded run: at most three tries each. Returns tallies."""

    def __init__(self, texts: Texts, channels: Channels, store: str | None) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store

    def expand(self, sends: beam.PCollection[Send]) -> Any:
        """Deliver shard by shard, in the order of decisions."""
        deliver = _DeliverShard(self.texts, self.channels, self.store, bounded=True)
        return sends | "Shard" >> beam.Map(_shard) | "Checkpoint" >> beam.GroupByKey() | "Send" >> beam.ParDo(deliver)


class DeliverUnbounded(beam.PTransform):
    """Deliver live: sends wait in state until a timer takes them together; refusals by quota wait for their time."""

    def __init__(self, texts: Texts, channels: Channels, store: str | None) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store

    def expand(self, sends: beam.PCollection[Send]) -> Any:
        """Deliver shard by shard: the queue is committed before the timer fires, which is the checkpoint."""
        deliver = _DeliverQueue(self.texts, self.channels, self.store, bounded=False)
        return sends | "Shard" >> beam.Map(_shard) | "Send" >> beam.ParDo(deliver)


def _shard(send: Send) -> tuple[str, bytes]:
    return f"{send.channel}/{crc32(send.user.encode()) % SHARDS}", _encoder.encode(send)


class _Delivering(beam.DoFn):
    """What both shells share: a courier with its connections, and counting what became of sends."""

    def __init__(self, texts: Texts, channels: Channels, store: str | None, *, bounded: bool) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store
        self.bounded = bounded
        self._shared = Shared()

    def setup(self) -> None:
        definitions = compiled(self.texts)
        settings = MailSettings.from_environment(os.environ)
        url = self.store
        self._decoder = msgspec.msgpack.Decoder(Send)
        self._courier = Courier(
            definitions.messages,
            _open_channels(self.channels, settings),
            settings,
            definitions.policies.default_locale,
            _clock(self.channels, bounded=self.bounded),
            store=None if url is None else self._shared.acquire(lambda: open_store(url), tag=url),
            bounded=self.bounded,
        )

    def teardown(self) -> None:
        self._courier.close()

    def start_bundle(self) -> None:
        self._tallies = Tallies()

    def _count(self, delivery: Delivery) -> None:
        send, at = delivery.send, delivery.send.decided_at
        progress.sends += 1
        if delivery.state in ("suppressed", "expired"):
            self._tallies.count("suppressed", delivery.reason or delivery.state, send.campaign, at)
        elif delivery.state == "duplicate":
            self._tallies.count("repeated", send.channel, send.campaign, at)
        elif delivery.state != "later":
            self._tallies.count("sends", send.channel, delivery.state, at)


class _DeliverShard(_Delivering):
    def process(self, element: tuple[str, Iterable[bytes]]) -> Iterator[Any]:
        sends = [self._decoder.decode(data) for data in element[1]]
        sends.sort(key=lambda send: (send.decided_at, send.id))
        for delivery in self._courier.deliver(sends):
            self._count(delivery)
        yield from self._tallies.drain()


class _DeliverQueue(_Delivering):
    QUEUE = BagStateSpec("queue", BytesCoder())
    TURN = TimerSpec("turn", TimeDomain.WATERMARK)

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
        queue: Any = beam.DoFn.StateParam(QUEUE),
        turn: Any = beam.DoFn.TimerParam(TURN),
    ) -> Iterator[Any]:
        """Deliver what waits; what was refused for now waits on, and a timer that came early is set again."""
        sends = [self._decoder.decode(data) for data in queue.read()]
        queue.clear()
        later: list[Delivery] = []
        for delivery in self._courier.deliver(sends):
            self._count(delivery)
            if delivery.state == "later":
                later.append(delivery)
        for delivery in later:
            queue.add(_encoder.encode(delivery.send))
        if later:
            turn.set(Timestamp(micros=min(delivery.retry_at or 0 for delivery in later)))
        yield from self._tallies.drain()


def _open_channels(channels: Channels, settings: MailSettings) -> dict[str, Channel]:
    outbox = Outbox(Path(channels.outbox), settings)
    return {
        "push": Push(parse_fcm(channels.push)) if channels.push else outbox,
        "email": Mail(parse_smtp(channels.email), settings) if channels.email else outbox,
    }


def _clock(channels: Channels, *, bounded: bool) -> Callable[[Send], int]:
    """What time counts for a send: its decision where a bounded run writes to the outbox, else the wall clock."""
    named = {name for name in ("push", "email") if getattr(channels, name) is not None and not channels.replay}

    def clock(send: Send) -> int:
        return send.decided_at if bounded and send.channel not in named else int(time() * 1_000_000)

    return clock
