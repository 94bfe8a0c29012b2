"""The state machine in Beam: inputs keyed by user, and the two shells around `advance`.

Inputs cross shuffles as (key, MessagePack of a list of inputs); the key is a user id, or `~` and an anonymous id.
"""

from collections.abc import Iterable, Iterator
from time import time
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts, compiled
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.events.progress import progress
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.bundle import Bundle, applied_before, open_users
from transforms.users.tally import Tallies, Tally
from transforms.users.user import (
    ANONYMOUS,
    Account,
    Forward,
    Input,
    User,
    Wake,
    decode_inputs,
    decode_user,
    encode_inputs,
    encode_user,
    route,
)

__all__ = [
    "AdvanceBounded",
    "AdvanceUnbounded",
    "CountDeadLetters",
    "KeyInputs",
    "KnownUsers",
    "NewestArrival",
    "RefusedLetters",
]

#: What a step of the state machine puts out beside sends.
FORWARDED, REFUSED, TALLIES = "forwarded", "refused", "tallies"
#: What `KeyInputs` puts out beside inputs of users with a user id.
ANONYMOUS_INPUTS, ARRIVALS = "anonymous", "arrivals"

#: Inputs a bundle may hold before they are put out, which bounds its memory.
_KEYED_AT_ONCE = 50_000
#: Users and inputs of a bounded bundle that are written together.
_USERS_AT_ONCE, _INPUTS_AT_ONCE = 500, 20_000
#: A wake-up this far ahead of the wall clock comes from a drain, and settles nothing.
_DRAIN_SECONDS = 60

Keyed = tuple[str, bytes]


class KeyInputs(beam.PTransform):
    """Events by key, several of one bundle together (which makes the shuffle cheaper).

    Args:
      until: events that arrived after this time (microseconds UTC) are counted as later and go no further.

    Returns outputs `users` and `anonymous` (both (key, inputs)), `arrivals` (the newest of a bundle) and `tallies`.
    """

    def __init__(self, until: int | None = None) -> None:
        self.until = until

    def expand(self, events: beam.PCollection[Event]) -> Any:
        """Key the events."""
        keys = beam.ParDo(_KeyInputs(self.until))
        return events | "Key" >> keys.with_outputs(ANONYMOUS_INPUTS, ARRIVALS, TALLIES, main="users")


class _KeyInputs(beam.DoFn):
    def __init__(self, until: int | None) -> None:
        self.until = until

    def start_bundle(self) -> None:
        self._inputs: dict[str, list[Input]] = {}
        self._held = 0
        self._read = 0
        self._newest: int | None = None
        self._tallies = Tallies()

    def process(self, event: Event) -> Iterable[Any]:
        self._read += 1
        progress.read += 1
        if self.until is not None and event.arrival > self.until:
            self._tallies.count("accounts", "later")
            return ()
        if self._newest is None or event.arrival > self._newest:
            self._newest = event.arrival
        if event.name:
            self._tallies.count("events", event.name, "", event.time)
        self._inputs.setdefault(route(event), []).append(event)
        self._held += 1
        return self._drain() if self._held >= _KEYED_AT_ONCE else ()

    def finish_bundle(self) -> Iterator[Any]:
        at = Timestamp(micros=self._newest) if self._newest is not None else GlobalWindow().start
        self._tallies.count("read", by=self._read)
        results = [*self._drain(), *(beam.pvalue.TaggedOutput(TALLIES, tally) for tally in self._tallies.drain())]
        if self._newest is not None:
            results.append(beam.pvalue.TaggedOutput(ARRIVALS, self._newest))
        yield from _globally(results, at)

    def _drain(self) -> Iterator[Any]:
        inputs, self._inputs, self._held = self._inputs, {}, 0
        for key, items in inputs.items():
            keyed = (key, encode_inputs(items))
            yield beam.pvalue.TaggedOutput(ANONYMOUS_INPUTS, keyed) if key.startswith(ANONYMOUS) else keyed


class NewestArrival(beam.PTransform):
    """The time up to which a bounded run settles users: as told, else the newest arrival, never before `settled`.

    All times are microseconds UTC. Returns a PCollection of one.
    """

    def __init__(self, settled: int, as_of: int | None) -> None:
        self.settled = settled
        self.as_of = as_of

    def expand(self, arrivals: beam.PCollection[int]) -> Any:
        """Find it."""
        told = self.as_of
        newest = arrivals | "Newest" >> beam.CombineGlobally(_Newest(self.settled))
        return newest if told is None else newest | "Told" >> beam.Map(lambda _: told)


class _Newest(beam.CombineFn):
    def __init__(self, least: int) -> None:
        self.least = least

    def create_accumulator(self) -> int:
        return self.least

    def add_input(self, accumulator: int, arrival: int) -> int:
        return max(accumulator, arrival)

    def merge_accumulators(self, accumulators: Iterable[int]) -> int:
        return max(accumulators)

    def extract_output(self, accumulator: int) -> int:
        return accumulator


class RefusedLetters(beam.PTransform):
    """Messages that the state machine refused, as dead letters."""

    def expand(self, refused: beam.PCollection[Account]) -> Any:
        """Make dead letters."""
        return refused | "Letter" >> beam.Map(_letter)


def _letter(account: Account) -> DeadLetter:
    event = account.event
    assert event is not None
    payload = msgspec.json.encode(msgspec.structs.asdict(event))
    return DeadLetter(payload, "advance", account.cause, f"message {event.id}", event.arrival)


class CountDeadLetters(beam.PTransform):
    """Tallies of messages that could not be decoded: each was read, and ended as a dead letter."""

    def expand(self, letters: beam.PCollection[DeadLetter]) -> Any:
        """Count them by cause."""
        return letters | "Count" >> beam.FlatMap(_tally_letter)


def _tally_letter(letter: DeadLetter) -> list[Tally]:
    return [(("read", "", "", 0), 1), (("accounts", "dead_letter", str(letter.cause), 0), 1)]


class KnownUsers(beam.PTransform):
    """The keys of every row of a store, each with no input: a bounded run settles them too."""

    def __init__(self, store: str) -> None:
        self.store = store

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Read the keys."""
        return (
            begin
            | "Begin" >> beam.Create([self.store])
            | "Scan" >> beam.ParDo(_ScanUsers()).with_outputs(ANONYMOUS_INPUTS, main="users")
        )


class _ScanUsers(beam.DoFn):
    def process(self, url: str) -> Iterator[Any]:
        store = open_store(url)
        nothing = encode_inputs([])
        for row in store.scan_users():
            keyed = (row.user, nothing)
            yield beam.pvalue.TaggedOutput(ANONYMOUS_INPUTS, keyed) if row.user.startswith(ANONYMOUS) else keyed
        store.close()


class _Machine(beam.DoFn):
    """What both shells share: the compiled definitions, the store, and putting out what a bundle decided."""

    def __init__(self, texts: Texts, store: str | None) -> None:
        self.texts = texts
        self.store = store
        self._shared = Shared()

    def setup(self) -> None:
        self._definitions = compiled(self.texts)
        url = self.store
        self._store: Store | None = None if url is None else self._shared.acquire(lambda: open_store(url), tag=url)

    def _put_out(self, bundle: Bundle) -> Iterator[Any]:
        for result in bundle.flush():
            if isinstance(result, Send):
                yield result
            elif isinstance(result, Forward):
                yield beam.pvalue.TaggedOutput(FORWARDED, (result.user, encode_inputs([result.input])))
            elif isinstance(result, Account):
                yield beam.pvalue.TaggedOutput(REFUSED, result)
            else:
                yield beam.pvalue.TaggedOutput(TALLIES, result)


class AdvanceBounded(beam.PTransform):
    """The bounded shell: group by user, sort by (arrival, id), fold, settle what is due up to `as_of`.

    Args:
      texts: the definitions.
      as_of: a singleton side input, microseconds UTC.
      store: URL of the store, or None to write nothing.
      continued: start from the store's rows, and pass over what earlier runs applied.
    """

    def __init__(self, texts: Texts, as_of: beam.pvalue.AsSingleton, store: str | None, *, continued: bool) -> None:
        self.texts = texts
        self.as_of = as_of
        self.store = store
        self.continued = continued

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Fold every user's inputs."""
        fold = _FoldUsers(self.texts, self.store, self.continued)
        return (
            keyed
            | "Typed" >> beam.Map(_itself)
            | "Group" >> beam.GroupByKey()
            | "Fold" >> beam.ParDo(fold, as_of=self.as_of).with_outputs(FORWARDED, REFUSED, TALLIES, main="sends")
        )


class _FoldUsers(_Machine):
    def __init__(self, texts: Texts, store: str | None, continued: bool) -> None:
        super().__init__(texts, store)
        self.continued = continued

    def start_bundle(self) -> None:
        self._waiting: dict[str, list[Input]] = {}
        self._held = 0
        self._as_of = 0

    def process(self, element: tuple[str, Iterable[bytes]], as_of: int) -> Iterator[Any]:
        key, parts = element
        inputs = [item for part in parts for item in decode_inputs(part)]
        inputs.sort(key=_by_arrival)
        self._waiting[key] = inputs
        self._held += len(inputs)
        self._as_of = as_of
        if len(self._waiting) >= _USERS_AT_ONCE or self._held >= _INPUTS_AT_ONCE:
            yield from self._turn()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield from _globally(self._turn(), GlobalWindow().max_timestamp())

    def _turn(self) -> Iterator[Any]:
        waiting, self._waiting, self._held = self._waiting, {}, 0
        before = self._store if self.continued else None
        users = open_users(before, list(waiting))
        known = applied_before(before, users, waiting) if before is not None else set()
        bundle = Bundle(self._definitions, self._store)
        for key, inputs in waiting.items():
            repeated = [item for item in inputs if (key, item.id) in known]
            bundle.tallies.count("accounts", "duplicate", by=len(repeated))
            fresh = [item for item in inputs if (key, item.id) not in known] if repeated else inputs
            user = bundle.take(users[key], [*fresh, _closing(inputs, self._as_of)])
            bundle.tallies.final(user)
        progress.users += len(waiting)
        yield from self._put_out(bundle)


class AdvanceUnbounded(beam.PTransform):
    """The unbounded shell: one state value and one event-time timer a user; each input is one call of `advance`."""

    def __init__(self, texts: Texts, store: str | None) -> None:
        self.texts = texts
        self.store = store

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Apply every input as it comes."""
        machine = beam.ParDo(_ApplyInputs(self.texts, self.store))
        return (
            keyed
            | "Typed" >> beam.Map(_itself)
            | "Apply" >> machine.with_outputs(FORWARDED, REFUSED, TALLIES, main="sends")
        )


class _ApplyInputs(_Machine):
    USER = ReadModifyWriteStateSpec("user", BytesCoder())
    DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)

    def start_bundle(self) -> None:
        self._bundle = Bundle(self._definitions, self._store)

    def process(
        self,
        element: Keyed,
        timestamp: Any = beam.DoFn.TimestampParam,
        state: Any = beam.DoFn.StateParam(USER),
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        key, data = element
        self._latest = timestamp
        inputs = sorted(decode_inputs(data), key=_by_arrival)
        self._apply(self._open(key, state), inputs, state, timer)

    @on_timer(DEADLINE)
    def wake(
        self,
        key: str = beam.DoFn.KeyParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        state: Any = beam.DoFn.StateParam(USER),
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        self._latest = timestamp
        if timestamp.micros > (time() + _DRAIN_SECONDS) * 1_000_000:
            return
        self._apply(self._open(key, state), [Wake(timestamp.micros)], state, timer)

    def finish_bundle(self) -> Iterator[Any]:
        yield from _globally(self._put_out(self._bundle), getattr(self, "_latest", GlobalWindow().start))

    def _open(self, key: str, state: Any) -> User:
        data = state.read()
        return decode_user(data) if data is not None else open_users(self._store, [key])[key]

    def _apply(self, user: User, inputs: list[Input], state: Any, timer: Any) -> None:
        user = self._bundle.take(user, inputs)
        state.write(encode_user(user))
        if user.deadline is not None:
            timer.set(Timestamp(micros=user.deadline))
        else:
            timer.clear()


def _itself(keyed: Keyed) -> Keyed:
    """Says the types before a shuffle by key, which its coders follow: a flattened collection has lost them."""
    return keyed


def _closing(inputs: list[Input], as_of: int) -> Wake:
    """What settles a user up to `as_of`: history too, where the last that is known of the user is history.

    Without that, an import of old orders would tell everybody who lapsed since then that they are missed.
    """
    last = inputs[-1] if inputs else None
    return Wake(as_of, historical=isinstance(last, Event) and last.historical)


def _by_arrival(item: Input) -> tuple[int, str]:
    return item.arrival, item.id


def _globally(results: Iterable[Any], at: Any) -> Iterator[Any]:
    """Results of `finish_bundle`, which need a timestamp and a window of their own."""
    for result in results:
        if isinstance(result, beam.pvalue.TaggedOutput):
            yield beam.pvalue.TaggedOutput(result.tag, WindowedValue(result.value, at, (GlobalWindow(),)))
        else:
            yield WindowedValue(result, at, (GlobalWindow(),))
