"""Deliver: sends keyed by channel and shard, each claimed, rendered, handed off and recorded.

The shuffle before it is the checkpoint: what was decided is durable before any side effect. The number of shards
bounds how many couriers work at a time. Both transforms have two outputs: `tallies`, and `receipts`, which are messages
of the control topic that tell the state machine what became of each send.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from time import time
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared

from transforms.campaigns.effects import Send
from transforms.campaigns.release import Release, Texts
from transforms.campaigns.transforms import watcher_of
from transforms.channels.channel import secret_values, settings_of
from transforms.channels.counted import CountedLedger, count_delivery
from transforms.channels.courier import Courier
from transforms.channels.destinations import Channels
from transforms.channels.flight import shard_of
from transforms.channels.held_up import HeldUp
from transforms.channels.outcome import Delivery
from transforms.channels.receipts import receipt_of
from transforms.channels.rules import rules_of
from transforms.channels.settings import LINKS_URL, MailSettings, secrets_for
from transforms.channels.tokens import SIGNING_KEYS
from transforms.channels.tracking import tracking_of
from transforms.events.progress import Progress
from transforms.identity.channels import check_installed
from transforms.job import Job, collect_seldom
from transforms.logs import show_fields
from transforms.storage.open import open_store
from transforms.storage.scratch.transforms import GroupOnDisk
from transforms.storage.state_cache.transforms import weigh_quickly
from transforms.users.control import encode_receipt
from transforms.users.inputs.transforms import globally
from transforms.users.tally import Tallies

__all__ = [
    "RECEIPTS",
    "DeliverBounded",
    "Delivering",
    "sharded",
    "wall_clock",
]

#: So many sends of a bounded run are delivered together, and held in memory.
TOGETHER = 10_000
#: What the transforms put out beside tallies.
RECEIPTS = "receipts"
#: A timer that fires so long (in microseconds) before its time on the wall clock comes from a drain.
DRAIN = 60 * 1_000_000

_log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
#: When the next send of a campaign with a rate may go, by campaign; in microseconds.
_paces = msgspec.msgpack.Decoder(dict[str, int])


def wall_clock() -> int:
    """The time in microseconds."""
    return int(time() * 1_000_000)


class DeliverBounded(beam.PTransform):
    """Deliver the sends of a bounded run: at most three tries each. Returns outputs `tallies` and `receipts`.

    With `on_disk` it takes collections of sends; these wait on disk, and go out in the order of decisions.
    """

    def __init__(
        self,
        texts: Texts | Release,
        channels: Channels,
        store: str | None,
        job: Job | None = None,
        *,
        on_disk: bool = False,
    ) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store
        self.job = job or Job()
        self.on_disk = on_disk

    def expand(self, sends: Any) -> Any:
        """Deliver shard by shard, in the order of decisions."""
        deliver = beam.ParDo(_DeliverShard(self.texts, self.channels, self.store, wall_clock, self.job, bounded=True))
        if self.on_disk:
            keyed = tuple(each | f"InOrder{number}" >> beam.Map(_in_order) for number, each in enumerate(sends))
            grouped = keyed | "Checkpoint" >> GroupOnDisk(self.job, "sends")
        else:
            grouped = sends | "Shard" >> beam.Map(sharded) | "Checkpoint" >> beam.GroupByKey()
        return grouped | "Send" >> deliver.with_outputs(RECEIPTS, main="tallies")


def sharded(send: Send) -> tuple[str, bytes]:
    """A send by its channel and shard."""
    return shard_of(send), _encoder.encode(send)


def _in_order(send: Send) -> tuple[str, bytes]:
    """By a text that sorts as (decided_at, id) does."""
    return f"{send.decided_at + 2**63:016x}{send.id}", _encoder.encode(send)


class Delivering(beam.DoFn):
    """What all shells share: a courier with its connections, and counting what became of sends.

    With `counts_in_ledger` that is done with the ledger's rows, and no tallies are put out.
    """

    counts_in_ledger = False

    def __init__(
        self,
        texts: Texts | Release,
        channels: Channels,
        store: str | None,
        clock: Callable[[], int],
        job: Job,
        *,
        bounded: bool,
    ) -> None:
        self.texts = texts
        self.channels = channels
        self.store = store
        self.clock = clock
        self.job = job
        self.bounded = bounded
        self._shared = Shared()

    def setup(self) -> None:
        """Find the definitions, and open the courier."""
        collect_seldom()
        weigh_quickly()
        show_fields()
        self._watcher = watcher_of(self.texts, self.job)
        self._definitions = self._watcher.now()
        check_installed(self.channels.installed)
        environment = self.channels.environment
        settings = MailSettings.from_environment(environment)
        if any(settings_of(name).private for name in self.channels.named):
            secrets = secrets_for(self._definitions.messages.values(), environment)
            settings = msgspec.structs.replace(settings, secrets=secrets)
        self._progress, self._held_up = self.job.part(Progress), self.job.part(HeldUp)
        url = self.store
        self._decoder = msgspec.msgpack.Decoder(Send)
        definitions = self._definitions
        self._rules = rules_of(definitions)
        store = None if url is None else self._shared.acquire(lambda: open_store(url), tag=url)
        self._counted = CountedLedger(store, self.clock) if store is not None and self.counts_in_ledger else None
        tracking = tracking_of(definitions)
        if settings.links is None and tracking.asks(definitions.messages):
            _log.warning("opens and clicks are not tracked: set %s and %s", LINKS_URL, SIGNING_KEYS)
        self._courier = Courier(
            definitions.messages,
            self.channels.open(settings, store),
            settings,
            definitions.policies.default_locale,
            self.channels.clock(self.clock, bounded=self.bounded),
            store=self._counted or store,
            rules=self._rules,
            tracking=tracking,
            recommend=definitions.recommend,
            in_turn=self.channels.in_turn,
            bounded=self.bounded,
            hidden=secret_values(environment),
        )

    def teardown(self) -> None:
        """Close the courier."""
        self._courier.close()

    def start_bundle(self) -> None:
        """Count from nothing."""
        self._tallies = Tallies()

    def hand_over(self, sends: list[Send], later: list[Delivery], *, waited: bool = False) -> Iterator[Any]:
        """Deliver, count, and put out receipts; what is to come again is added to `later`. `waited`: they were."""
        self._follow(max((send.release for send in sends), default=0))
        if self._counted is not None:
            self._counted.expect(sends)
        with self._progress.delivers(len(sends)):
            deliveries = self._courier.deliver(sends, waited=waited)
        if self._counted is not None:
            self._counted.count_unclaimed(deliveries)
        for delivery in deliveries:
            self._count(delivery)
            if delivery.state == "later":
                later.append(delivery)
            elif receipt := receipt_of(delivery, bounded=self.bounded):
                yield beam.pvalue.TaggedOutput(RECEIPTS, encode_receipt(receipt))
        self._held_up.tell()
        yield from self._tallies.drain()

    def paced(self, sends: Iterable[Send], pace: Any, shards: int) -> tuple[list[Send], list[tuple[int, Send]]]:
        """The sends that may go now, and those that their campaign's rate lets go later, with the time.

        The sends of a campaign go one after another, in equal distances, but for those that are too late in any case.
        `pace` is the state of one of `shards`, each of which has its share.
        """
        at_once, later = [], []
        known: dict[str, int] | None = None
        for send in sends:
            interval = self._rules[send.campaign].interval if send.campaign in self._rules else None
            if interval is None or send.not_after < self.clock():
                at_once.append(send)
                continue
            known = _paces.decode(pace.read() or b"\x80") if known is None else known
            now = self.clock()
            at = max(now, known.get(send.campaign, 0))
            known[send.campaign] = at + round(interval * shards)
            if at > now:
                later.append((at, send))
            else:
                at_once.append(send)
        if known is not None:
            pace.write(_encoder.encode(known))
        return at_once, later

    def is_drain(self, timestamp: Any) -> bool:
        """Whether it is only time because the watermark moved to the end of time; what waits then stays, unsent."""
        return bool(timestamp.micros > self.clock() + DRAIN)

    def _follow(self, release: int) -> None:
        """Take the newest definitions: no older than those that decided the sends, who may not know the campaign."""
        definitions = self._watcher.at_least(release)
        if definitions is not self._definitions:
            self._definitions, self._rules = definitions, rules_of(definitions)
            locale, tracking = definitions.policies.default_locale, tracking_of(definitions)
            self._courier.follow(definitions.messages, locale, self._rules, tracking, definitions.recommend)

    def _count(self, delivery: Delivery) -> None:
        self._progress.sends += 1
        if not self.bounded:
            self._held_up.note(delivery)
        if self._counted is None:
            count_delivery(self._tallies, delivery, bounded=self.bounded)


class _DeliverShard(Delivering):
    """Delivers the shards of a bundle together: one that waits for a provider holds up no other."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._sends: list[Send] = []
        self._latest: Any = GlobalWindow().start

    def process(self, element: tuple[str, Iterable[bytes]], timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        self._sends += [self._decoder.decode(data) for data in element[1]]
        self._latest = timestamp
        if len(self._sends) >= TOGETHER:
            yield from self._deliver()

    def finish_bundle(self) -> Iterator[Any]:
        if self._sends:
            yield from globally(self._deliver(), self._latest)

    def _deliver(self) -> Iterator[Any]:
        sends, self._sends = self._sends, []
        sends.sort(key=lambda send: (send.decided_at, send.id))
        yield from self.hand_over(sends, [])
