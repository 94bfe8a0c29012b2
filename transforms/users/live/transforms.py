"""The live shell: users by shard, see `shard`. Only for steps in one process (`transforms.events.live`)."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from time import time
from typing import Any

import apache_beam as beam
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.release import Release, Texts
from transforms.campaigns.transforms import Announced
from transforms.events.live.batches import decode_messages
from transforms.events.live.feed import now
from transforms.events.live.inflight import InFlight
from transforms.events.transforms import Decode
from transforms.job import Job
from transforms.storage.users import Users
from transforms.users.inputs.transforms import (
    ANNOUNCEMENTS,
    ANONYMOUS_INPUTS,
    ARRIVALS,
    DEAD_LETTERS,
    TALLIES,
    Keyed,
    KeyInputs,
    globally,
)
from transforms.users.live.shard import Due, Recall, Shard, decode_parts, encode_parts, shard_of
from transforms.users.transforms import DRAIN_SECONDS, FORWARDED, OUTPUTS, AdvanceDoFn, time_of
from transforms.users.user import ANONYMOUS, Input, Wake, by_arrival, decode_inputs
from transforms.users.way_back.transforms import DecodeControl
from transforms.users.write_batch import WriteBatch, open_users

__all__ = ["AdvanceLive", "TakeIn"]

#: What is not asked of events here: how they end is counted where they end.
_COUNTED_ELSEWHERE = (ARRIVALS, TALLIES)
#: Users whose rows go to the store together, while those who follow are computed.
ROWS_AT_ONCE = 400


class TakeIn(beam.PTransform):
    """Batches of messages as inputs by shard: `Decode` and `KeyInputs`, or `DecodeControl`, in one step.

    A local runner does not fuse steps, so each of them would cost a hop for each message.

    Returns outputs `users` and `anonymous` (both (shard, parts), see `shard`), `announcements` and `dead_letters`.

    Args:
      definitions: of the announcements.
      job: whose step it is.
      control: the messages are those of the control topic.
    """

    def __init__(self, definitions: Texts | Release, job: Job, *, control: bool = False) -> None:
        self.definitions = definitions
        self.job = job
        self.control = control

    def expand(self, batches: beam.PCollection[bytes]) -> Any:
        """Decode, key, and bring to shards."""
        take = beam.ParDo(_TakeControl(self.job) if self.control else _TakeEvents(self.definitions, self.job))
        outputs = (ANONYMOUS_INPUTS, ANNOUNCEMENTS, DEAD_LETTERS)
        return batches | "Take" >> take.with_outputs(*outputs, main="users")


@with_output_types(Keyed)
class _TakeEvents(beam.DoFn):
    def __init__(self, definitions: Texts | Release, job: Job) -> None:
        self._decode = Decode(now, Announced(definitions, job)).step()
        self._keys = KeyInputs(job=job).step()

    def process(self, batch: bytes) -> Iterator[Any]:
        self._keys.start_bundle()
        taken: list[Any] = []
        for message in decode_messages(batch):
            for event in self._decode.process(message):
                if isinstance(event, beam.pvalue.TaggedOutput):
                    yield event
                else:
                    taken += self._keys.process(event)
        taken += (_bare(result) for result in self._keys.finish_bundle())
        yield from _by_shard(result for result in taken if getattr(result, "tag", "") not in _COUNTED_ELSEWHERE)


@with_output_types(Keyed)
class _TakeControl(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self._decode = DecodeControl(job).step()

    def process(self, batch: bytes) -> Iterator[Any]:
        messages = decode_messages(batch)
        yield from _by_shard(result for message in messages for result in self._decode.process(message))


def _bare(result: Any) -> Any:
    """A result of `finish_bundle` without its time and window: it is put out with those of the batch."""
    if isinstance(result, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(result.tag, result.value.value)
    return result.value


def _by_shard(results: Iterable[Any]) -> Iterator[Any]:
    """Results of steps, of which inputs by key are put together by shard."""
    users: dict[str, list[Keyed]] = {}
    anonymous: dict[str, list[Keyed]] = {}
    for result in results:
        if not isinstance(result, beam.pvalue.TaggedOutput):
            users.setdefault(shard_of(result[0]), []).append(result)
        elif result.tag == ANONYMOUS_INPUTS:
            anonymous.setdefault(shard_of(result.value[0]), []).append(result.value)
        else:
            yield result
    for shard, parts in users.items():
        yield shard, encode_parts(parts)
    for shard, parts in anonymous.items():
        yield beam.pvalue.TaggedOutput(ANONYMOUS_INPUTS, (shard, encode_parts(parts)))


class AdvanceLive(beam.PTransform):
    """Like `AdvanceUnbounded`, with users kept in this process: one input of a shard carries those of many users.

    What anonymous ids forward, which is for users alone, is by shard too.

    Args:
      texts: the definitions, or a release of them.
      store: URL of the store.
      job: whose step it is.
      anonymous: it is the step of anonymous ids; the other's users are not its own.
    """

    def __init__(self, texts: Texts | Release, store: str, job: Job | None = None, *, anonymous: bool = False) -> None:
        self.texts = texts
        self.store = store
        self.job = job or Job()
        self.anonymous = anonymous

    def expand(self, sharded: Any) -> Any:
        """Apply inputs, (shard, parts), as they come."""
        # A flattened collection has lost the types, which a stateful step needs; a step that says them costs a hop.
        sharded.element_type = beam.typehints.KV[str, bytes]
        return sharded | "Apply" >> beam.ParDo(self.step()).with_outputs(*OUTPUTS, main="sends")

    def step(self) -> beam.DoFn:
        """The DoFn that applies them, for measurements of it alone."""
        return _ApplyShard(self.texts, self.store, self.job, anonymous=self.anonymous)


class _Shards:
    """The shards of a step. Safe for threads.

    Args:
      recall: what asks the store for the deadlines of the shard of a name.
    """

    def __init__(self, recall: Callable[[str], Recall]) -> None:
        self._recall = recall
        self._shards: dict[str, Shard] = {}
        self._lock = Lock()

    def __getitem__(self, name: str) -> Shard:
        with self._lock:
            if name not in self._shards:
                self._shards[name] = Shard(recall=self._recall(name))
            return self._shards[name]


def _recall(store: Users, shard: str, *, anonymous: bool) -> Recall:
    """What asks a store for the deadlines of a shard's users."""

    def is_theirs(user: str) -> bool:
        return user.startswith(ANONYMOUS) is anonymous and shard_of(user) == shard

    def recall(start: Due, most: int) -> list[Due]:
        return store.read_deadlines(start, most, is_theirs)

    return recall


class _ApplyShard(AdvanceDoFn):
    DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)

    def __init__(self, texts: Texts | Release, store: str, job: Job, *, anonymous: bool) -> None:
        super().__init__(texts, store, job)
        self.anonymous = anonymous
        self._shared_shards = Shared()

    def setup(self) -> None:
        super().setup()
        assert self._store is not None
        self._shards = self._shared_shards.acquire(
            lambda: _Shards(partial(_recall, self._store, anonymous=self.anonymous))
        )
        self._writer = ThreadPoolExecutor(1, "rows")

    def teardown(self) -> None:
        self._writer.shutdown()

    def start_bundle(self) -> None:
        self._batch = WriteBatch(
            self._watcher.now(), self._store, in_flight=self.job.part(InFlight), counts_with_rows=True
        )
        self._touched: set[Shard] = set()
        self._latest: Any = GlobalWindow().start

    def process(
        self,
        element: Keyed,
        timestamp: Any = beam.DoFn.TimestampParam,
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        name, data = element
        self._latest = timestamp
        inputs: dict[str, list[Input]] = {}
        for key, part in decode_parts(data):
            inputs.setdefault(key, []).extend(decode_inputs(part))
        for items in inputs.values():
            items.sort(key=by_arrival)
        self._apply(self._shards[name], inputs, timer)

    @on_timer(DEADLINE)
    def wake(
        self,
        name: str = beam.DoFn.KeyParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        self._latest = timestamp
        if timestamp.micros > (time() + DRAIN_SECONDS) * 1_000_000:
            return
        shard = self._shards[name]
        self._apply(shard, {key: [Wake(due)] for key, due in shard.due(timestamp.micros).items()}, timer)

    def finish_bundle(self) -> Iterator[Any]:
        onward: list[Keyed] = []
        for result in self.put_out(self._batch):
            if self.anonymous and getattr(result, "tag", "") == FORWARDED:
                onward.append(result.value)
            else:
                yield from globally([result], time_of(result, self._latest))
        by_shard = (beam.pvalue.TaggedOutput(FORWARDED, each) for each in _by_shard(onward))
        yield from globally(by_shard, self._latest)
        for shard in self._touched:
            shard.commit()

    def _apply(self, shard: Shard, inputs: dict[str, list[Input]], timer: Any) -> None:
        self._touched.add(shard)
        users = shard.users(inputs)
        found = open_users(self._store, [key for key in inputs if key not in users])
        users |= self._batch.readable(found, inputs)
        for key, items in inputs.items():
            if key not in users:
                continue
            user, state = self.apply(self._batch, users[key], items)
            shard.write(user, len(state))
        self._batch.write_beside(self._writer, ROWS_AT_ONCE)
        if (first := shard.first()) is not None:
            # Up to the next millisecond: runners keep no more of a timer, and one that fires early wakes nobody, is set
            # again, and fires for ever.
            timer.set(Timestamp(micros=-(-first // 1000) * 1000))
        else:
            timer.clear()
