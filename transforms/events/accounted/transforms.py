"""The ends of a live graph on any engine whose messages are acknowledged on account: reading, and acknowledging.

See docs/engines.md, "Accounted reading", and `covered` for when a message is acknowledged.
"""

from collections.abc import Iterator
from threading import Lock
from time import monotonic, sleep
from typing import Any
from uuid import uuid4
from zlib import crc32

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.events.accounted.broker import Broker, SubscriptionReader
from transforms.events.accounted.covered import Held, Marks
from transforms.events.accounted.handles import handle_of
from transforms.events.sources import ReceivedMessage
from transforms.job import Job

__all__ = ["BEATS", "AcknowledgeCovered", "ReadAccounted"]

#: What `ReadAccounted` puts out beside messages.
BEATS = "beats"
#: How many readers a subscription has, all over the engine.
READERS = 4
#: Over how many keys handles are spread.
KEYS = 8
#: How often every key of the last step is told that time goes on, in seconds; a reader that waits does it later.
BEAT_SECONDS = 1.0
#: How long a reader rests that finds nothing, in a bundle that is still open.
REST_SECONDS = 0.1
#: How much later than the timer before a timer is at least, in seconds: runners keep milliseconds.
STEP = 0.001

#: A key of the last step, and handles as MessagePack; there are none in a beat.
Beat = tuple[str, bytes]
_GLOBAL = (GlobalWindow(),)
_encode = msgspec.msgpack.Encoder().encode
_marks = msgspec.msgpack.Decoder(Marks)
_handles = msgspec.msgpack.Decoder(list[str])
_NO_MARKS, _NOTHING = _encode({}), _encode([])


class ReadAccounted(beam.PTransform):
    """Read a Pub/Sub subscription as messages with handles, which any worker may acknowledge.

    A splittable DoFn would leave something in Flink's state each time it pauses (apache/beam#27648). So readers are
    keys of a step with a timer that sets itself anew, at the time of the reader's watermark, which it holds by that.
    Before it all time has passed, since nothing but the keys comes in; so it fires at once. It is a timer of event
    time: those of processing time Flink's runner drops when all time has passed.

    Args:
      subscription: `projects/P/subscriptions/S`.
      job: whose step it is.

    Returns outputs `messages` and `beats`: for each key of the last step nothing, now and then.
    """

    def __init__(self, subscription: str, job: Job) -> None:
        super().__init__()
        self._subscription = subscription
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Wire the readers."""
        pull = beam.ParDo(_Pull(self._subscription, self._job)).with_outputs(BEATS, main="messages")
        return begin | "Begin" >> beam.Impulse() | "Readers" >> beam.ParDo(_Readers()) | "Pull" >> pull


@with_output_types(tuple[str, bytes])
class _Readers(beam.DoFn):
    def process(self, _: bytes) -> Iterator[tuple[str, bytes]]:
        yield from ((str(number), b"") for number in range(READERS))


@with_input_types(tuple[str, bytes])
@with_output_types(ReceivedMessage)
class _Pull(beam.DoFn):
    NEXT = TimerSpec("next", TimeDomain.WATERMARK)

    def __init__(self, subscription: str, job: Job) -> None:
        self.subscription = subscription
        self.job = job

    def start_bundle(self) -> None:
        self._waits = True

    def process(self, element: tuple[str, bytes], timer: Any = beam.DoFn.TimerParam(NEXT)) -> None:  # noqa: ARG002
        timer.set(Timestamp(0))

    @on_timer(NEXT)
    def pull(
        self,
        number: str = beam.DoFn.KeyParam,
        due: Any = beam.DoFn.TimestampParam,
        timer: Any = beam.DoFn.TimerParam(NEXT),
    ) -> Iterator[Any]:
        reader = self.job.part(_Readings).reader(self.subscription, number)
        messages = reader.pull(wait=self._waits)
        if not messages and not self._waits:
            sleep(REST_SECONDS)
        # Nothing of a bundle goes on before its end, and no checkpoint is taken: only one pull of it waits.
        self._waits = False
        for payload, ack_id, published in messages:
            message = payload, f"pubsub:{self.subscription}", published, handle_of(self.subscription, ack_id)
            yield WindowedValue(message, max(Timestamp(micros=published), due), _GLOBAL)
        if reader.beats():
            for key in range(KEYS):
                yield beam.pvalue.TaggedOutput(BEATS, WindowedValue((str(key), _NOTHING), due, _GLOBAL))
        timer.set(max(Timestamp(micros=reader.watermark), due + STEP))


class _Readings:
    """The readers of a job in this process. Safe for threads."""

    def __init__(self) -> None:
        self.broker = Broker()
        self._readers: dict[tuple[str, str], _Beating] = {}
        self._lock = Lock()

    def reader(self, subscription: str, number: str) -> "_Beating":
        """The reader of that number."""
        with self._lock:
            found = self._readers.get((subscription, number))
            if found is None:
                found = self._readers[subscription, number] = _Beating(self.broker, subscription)
                found.beats_at_all = number == "0"
            return found

    def close(self) -> None:
        """Close the connection."""
        self.broker.close()


class _Beating(SubscriptionReader):
    """A reader, of which one of each subscription beats."""

    beats_at_all = False
    _next = 0.0

    def beats(self) -> bool:
        """Whether it is time again to say that time goes on."""
        if not self.beats_at_all or monotonic() < self._next:
            return False
        self._next = monotonic() + BEAT_SECONDS
        return True


class AcknowledgeCovered(beam.PTransform):
    """Acknowledge the messages whose handles come, in lists, once a checkpoint covers them: the last step.

    What fails is left: it comes again, and is found to be a duplicate.

    Args:
      job: whose step it is.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, ended: Any) -> Any:
        """Wire the step, of lists of handles and of beats."""
        handles, beats = ended
        keyed = handles | "Key" >> beam.FlatMap(_by_key).with_output_types(Beat)
        together = (keyed, beats) | "WithBeats" >> beam.Flatten()
        typed = together | "Typed" >> beam.Map(_itself).with_output_types(Beat)
        return typed | "Hold" >> beam.ParDo(_Hold(self._job))


def _by_key(handles: list[str]) -> Iterator[Beat]:
    found: dict[str, list[str]] = {}
    for handle in filter(None, handles):
        found.setdefault(str(crc32(handle.encode()) % KEYS), []).append(handle)
    for key, some in found.items():
        yield key, _encode(some)


def _itself(beat: Beat) -> Beat:
    return beat


@with_input_types(Beat)
class _Hold(beam.DoFn):
    MARKS = ReadModifyWriteStateSpec("marks", BytesCoder())

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(
        self,
        element: Beat,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        state: Any = beam.DoFn.StateParam(MARKS),
    ) -> None:
        key, handles = element[0], _handles.decode(element[1])
        held = self.job.part(_Holding).of(key)
        state.write(_encode(held.enter(_marks.decode(state.read() or _NO_MARKS))))
        if handles:
            held.add(handles)
        else:
            # Only beats ask to be told: an engine keeps each bundle that does, until a checkpoint is completed.
            broker, finalised = self.job.part(_Readings).broker, held.begin()
            finalizer.register(lambda: broker.acknowledge(finalised()))


class _Holding:
    """What this process holds, by key. Safe for threads."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._process = uuid4().hex
        self._lock = Lock()

    def of(self, key: str) -> Held:
        """What it holds of a key."""
        with self._lock:
            return self._held.setdefault(key, Held(self._process))
