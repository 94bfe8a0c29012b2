"""Publish, read and decode what goes back to users by the control topic, or by the control table of a store.

See docs/explanation/way-back.md.
"""

from collections.abc import Iterator
from time import time_ns
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types

from transforms.events.dead_letter import DeadLetter
from transforms.events.decode import Refused
from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.events.live.transforms import CONTROL
from transforms.events.progress import Progress
from transforms.events.sources import ReceivedMessage
from transforms.job import Job
from transforms.storage.control import oldest_control
from transforms.storage.open import open_store
from transforms.storage.transforms import StoreDoFn
from transforms.users.control import decode_control, encode_inputs_control
from transforms.users.inputs.transforms import ANONYMOUS_INPUTS, DEAD_LETTERS, Keyed, globally
from transforms.users.one_way import last_alone
from transforms.users.user import ANONYMOUS, Announcement, Input, Seed, decode_inputs, encode_inputs

__all__ = [
    "CONTROL_ROWS",
    "Announce",
    "AnnounceByRange",
    "DecodeControl",
    "PublishControl",
    "ReadControlRows",
    "ToControl",
]

_ACCOUNTED = "accounted"
#: Ranges of users by which an announcement is told: of 100 million some 100,000 each.
_RANGES = 1_024
#: Rows of the control table that a bounded run takes at a time.
CONTROL_ROWS = 100_000
#: Payloads that are written together at most, and held in memory.
_PUBLISHED_AT_ONCE = 10_000


class Announce(beam.PTransform):
    """Events that concern no user, told to each by the control topic.

    Returns outputs `payloads` ((payload, handle) for the control topic) and `accounted`, lists of handles.
    """

    def __init__(self, store: str, job: Job | None = None) -> None:
        self.store = store
        self.job = job or Job()

    def expand(self, announcements: beam.PCollection[Event]) -> Any:
        """Tell every user who has a row."""
        announce = beam.ParDo(_Announce(self.store, self.job))
        return announcements | "Tell" >> announce.with_outputs(_ACCOUNTED, main="payloads")


class _Announce(StoreDoFn):
    def __init__(self, store: str, job: Job) -> None:
        super().__init__(store)
        self.job = job

    def setup(self) -> None:
        super().setup()
        self._in_flight, self._progress = self.job.part(InFlight), self.job.part(Progress)

    def process(self, event: Event) -> Iterator[Any]:
        told = Announcement(msgspec.structs.replace(event, handle=""))
        for row in self._store.scan_users():
            self._progress.users += 1
            if event.handle:
                self._in_flight.retain(event.handle)
            yield encode_inputs_control(row.user, [told]), event.handle
        if event.handle:
            yield beam.pvalue.TaggedOutput(_ACCOUNTED, [event.handle])


class AnnounceByRange(beam.PTransform):
    """Like `Announce`, where messages have no handles: each range of users is told by whichever worker has time.

    One element for all would be one bundle, which takes hours for many users, and begins again if it fails.
    """

    def __init__(self, store: str) -> None:
        super().__init__()
        self.store = store

    def expand(self, announcements: beam.PCollection[Event]) -> Any:
        """Tell every user who has a row."""
        divide = beam.ParDo(_Divide(self.store))
        divided = announcements | "Tell" >> divide.with_outputs(_ACCOUNTED, main="ranges")
        payloads = divided.ranges | "TellRange" >> beam.ParDo(_TellRange(self.store))
        return _Told(payloads, divided[_ACCOUNTED])


class _Told(NamedTuple):
    payloads: beam.PCollection
    accounted: beam.PCollection


#: What is told, as `encode_inputs` has it, and a `UserRange`: of whom.
_ToRange = tuple[bytes, str, str]


@with_output_types(Keyed)
class _Divide(StoreDoFn):
    def default_label(self) -> str:
        """As a running job has it, where this step told everybody by itself: an update asks for each step by name."""
        return "_Announce"

    def process(self, event: Event) -> Iterator[Keyed]:
        told = encode_inputs([Announcement(event)])
        for number, within in enumerate(self._store.user_ranges(_RANGES)):
            yield str(number), msgspec.msgpack.encode((told, *within))


@with_output_types(tuple[bytes, str])
class _TellRange(StoreDoFn):
    """A key is a range, and its timer a bundle of its own, by whichever worker has the key."""

    TOLD = BagStateSpec("told", BytesCoder())
    TURN = TimerSpec("turn", TimeDomain.WATERMARK)

    def process(
        self,
        element: Keyed,
        timestamp: Any = beam.DoFn.TimestampParam,
        told: Any = beam.DoFn.StateParam(TOLD),
        turn: Any = beam.DoFn.TimerParam(TURN),
    ) -> None:
        told.add(element[1])
        turn.set(timestamp)

    @on_timer(TURN)
    def tell(self, told: Any = beam.DoFn.StateParam(TOLD)) -> Iterator[tuple[bytes, str]]:
        """Tell the users of a range what waits for them."""
        for data in told.read():
            inputs, after, until = msgspec.msgpack.decode(data, type=_ToRange)
            for row in self._store.scan_users((after, until)):
                yield encode_inputs_control(row.user, decode_inputs(inputs)), ""
        told.clear()


class ReadControlRows(beam.PTransform):
    """The oldest rows of a store's control table, at most `CONTROL_ROWS`: what a bounded run left for itself."""

    def __init__(self, store: str) -> None:
        self.store = store

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[ReceivedMessage]:
        """Read them."""
        return begin | "Begin" >> beam.Create([self.store]) | "Scan" >> beam.FlatMap(_control_rows)


def _control_rows(url: str) -> Iterator[ReceivedMessage]:
    store = open_store(url)
    for row in oldest_control(store, CONTROL_ROWS):
        yield row.payload, CONTROL, None, ""
    store.close()


class DecodeControl(beam.PTransform):
    """Messages of the control topic as inputs by key.

    With `handles_go_one_way`, handles are of another process: see `transforms.users.one_way`.

    Returns outputs `users` and `anonymous` (both (key, inputs)), and `dead_letters`.
    """

    def __init__(self, job: Job | None = None, *, handles_go_one_way: bool = False) -> None:
        self.job = job or Job()
        self.one_way = handles_go_one_way

    def step(self) -> beam.DoFn:
        """The step by itself, for a graph that does more in one."""
        return _DecodeControl(self.job, one_way=self.one_way)

    def expand(self, messages: beam.PCollection[ReceivedMessage]) -> Any:
        """Decode and key them."""
        decode = beam.ParDo(self.step())
        return messages | "Decode" >> decode.with_outputs(ANONYMOUS_INPUTS, DEAD_LETTERS, main="users")


class _DecodeControl(beam.DoFn):
    def __init__(self, job: Job, *, one_way: bool) -> None:
        self.job = job
        self.one_way = one_way

    def process(self, message: ReceivedMessage) -> Iterator[Any]:
        payload, source, arrival, handle = message
        try:
            key, inputs = decode_control(payload, arrival)
        except Refused as refused:
            seen = time_ns() // 1000 if arrival is None else arrival
            letter = DeadLetter(payload, source, refused.cause, refused.detail, seen, handle)
            yield beam.pvalue.TaggedOutput(DEAD_LETTERS, letter)
            return
        if handle and not self.one_way:
            self.job.part(InFlight).retain(handle, len(inputs) - 1)
        inputs = [_from_control(item, handle) for item in inputs]
        if self.one_way:
            inputs = last_alone(inputs)
        keyed = (key, encode_inputs(inputs))
        yield beam.pvalue.TaggedOutput(ANONYMOUS_INPUTS, keyed) if key.startswith(ANONYMOUS) else keyed


def _from_control(item: Input, handle: str) -> Input:
    if isinstance(item, Event | Seed):  # these say themselves where they have their account
        return msgspec.structs.replace(item, handle=handle)
    return msgspec.structs.replace(item, handle=handle, control=True)


class ToControl(beam.PTransform):
    """Inputs that go back to users as (payload, handle) for the control topic, one input a message."""

    def expand(self, keyed: beam.PCollection[Keyed]) -> beam.PCollection[tuple[bytes, str]]:
        """Encode them."""
        return keyed | "Encode" >> beam.FlatMapTuple(_to_control).with_output_types(tuple[bytes, str])


def _to_control(key: str, data: bytes) -> Iterator[tuple[bytes, str]]:
    for item in decode_inputs(data):
        yield encode_inputs_control(key, [msgspec.structs.replace(item, handle="")]), item.handle


class PublishControl(beam.PTransform):
    """Write (payload, handle) into a store's control table; puts out the handles that came with them, in lists."""

    def __init__(self, store: str) -> None:
        self.store = store

    def expand(self, payloads: beam.PCollection[tuple[bytes, str]]) -> beam.PCollection[list[str]]:
        """Write them."""
        return payloads | "Write" >> beam.ParDo(_PublishControl(self.store))


@with_output_types(list[str])
class _PublishControl(StoreDoFn):
    def start_bundle(self) -> None:
        self._payloads: list[bytes] = []
        self._handles: list[str] = []
        self._at: Any = GlobalWindow().start

    def process(self, element: tuple[bytes, str], timestamp: Any = beam.DoFn.TimestampParam) -> None:
        self._payloads.append(element[0])
        self._at = max(self._at, timestamp)
        if element[1]:
            self._handles.append(element[1])
        if len(self._payloads) >= _PUBLISHED_AT_ONCE:
            self._publish()

    def _publish(self) -> None:
        payloads, self._payloads = self._payloads, []
        self._store.publish_control(payloads, time_ns() // 1000)

    def finish_bundle(self) -> Iterator[Any]:
        self._publish()
        if self._handles:
            yield from globally([self._handles], self._at)
