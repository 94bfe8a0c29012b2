"""The state machine in Beam: inputs keyed by user, and the two shells around `advance`.

Inputs cross shuffles as (key, MessagePack of a list of inputs); the key is a user id, or `~` and an anonymous id.
"""

from collections.abc import Iterable, Iterator
from time import time
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.effects import Send
from transforms.campaigns.release import Release, Texts
from transforms.campaigns.transforms import watch
from transforms.events.event import Event
from transforms.events.progress import progress
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.bundle import Bundle, Handles, applied_before, open_users
from transforms.users.inputs.transforms import Keyed, globally
from transforms.users.seeds import newest_serial
from transforms.users.user import (
    Account,
    Forward,
    Input,
    TokenTaken,
    User,
    Wake,
    decode_inputs,
    decode_user,
    encode_inputs,
    encode_user,
)

__all__ = [
    "AdvanceBounded",
    "AdvanceUnbounded",
]

#: What a step of the state machine puts out beside sends: inputs for other users, and those for which only the control
#: topic will do; refused messages; handles of messages that ended here; tallies.
FORWARDED, TAKEN, REFUSED, ACCOUNTED, TALLIES = "forwarded", "taken", "refused", "accounted", "tallies"
OUTPUTS = (FORWARDED, TAKEN, REFUSED, ACCOUNTED, TALLIES)

#: Users and inputs of a bounded bundle that are written together.
_USERS_AT_ONCE, _INPUTS_AT_ONCE = 500, 20_000
#: A wake-up this far ahead of the wall clock comes from a drain, and settles nothing.
_DRAIN_SECONDS = 60


class _Machine(beam.DoFn):
    """What both shells share: the definitions, the store, and putting out what a bundle decided."""

    def __init__(self, texts: Texts | Release, store: str | None) -> None:
        self.texts = texts
        self.store = store
        self._shared = Shared()

    def setup(self) -> None:
        self._watch = watch(self.texts)
        url = self.store
        self._store: Store | None = None if url is None else self._shared.acquire(lambda: open_store(url), tag=url)

    def _take(self, bundle: Bundle, user: User, inputs: list[Input]) -> User:
        """Apply inputs, by newer definitions than the bundle's where a user was judged by newer ones already."""
        if (serial := newest_serial(user, inputs)) > bundle.definitions.serial:
            bundle.definitions = self._watch.at_least(serial)
        return bundle.take(user, inputs)

    def _put_out(self, bundle: Bundle) -> Iterator[Any]:
        for result in bundle.flush():
            if isinstance(result, Send):
                yield result
            elif isinstance(result, Forward):
                tag = TAKEN if isinstance(result.input, TokenTaken) else FORWARDED
                yield beam.pvalue.TaggedOutput(tag, (result.user, encode_inputs([result.input])))
            elif isinstance(result, Handles):
                yield beam.pvalue.TaggedOutput(ACCOUNTED, list(result.handles))
            elif isinstance(result, Account):
                yield beam.pvalue.TaggedOutput(REFUSED, result)
            else:
                yield beam.pvalue.TaggedOutput(TALLIES, result)


class AdvanceBounded(beam.PTransform):
    """The bounded shell: group by user, sort by (arrival, id), fold, settle what is due up to `as_of`.

    Args:
      texts: the definitions, or a release of them.
      as_of: a singleton side input, microseconds UTC.
      store: URL of the store, or None to write nothing.
      continued: start from the store's rows, and pass over what earlier runs applied.
      amend: users were counted before in this run, so that only what changes is counted.
    """

    def __init__(
        self,
        texts: Texts | Release,
        as_of: beam.pvalue.AsSingleton,
        store: str | None,
        *,
        continued: bool,
        amend: bool = False,
    ) -> None:
        self.texts = texts
        self.as_of = as_of
        self.store = store
        self.continued = continued
        self.amend = amend

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Fold every user's inputs."""
        fold = _FoldUsers(self.texts, self.store, continued=self.continued, amend=self.amend)
        return (
            keyed
            | "Typed" >> beam.Map(_itself)
            | "Group" >> beam.GroupByKey()
            | "Fold" >> beam.ParDo(fold, as_of=self.as_of).with_outputs(*OUTPUTS, main="sends")
        )


class _FoldUsers(_Machine):
    def __init__(self, texts: Texts | Release, store: str | None, *, continued: bool, amend: bool) -> None:
        super().__init__(texts, store)
        self.continued = continued
        self.amend = amend

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
            yield from globally(self._turn(), GlobalWindow().max_timestamp())

    def _turn(self) -> Iterator[Any]:
        waiting, self._waiting, self._held = self._waiting, {}, 0
        before = self._store if self.continued else None
        users = open_users(before, list(waiting))
        known = applied_before(before, users, waiting) if before is not None else set()
        bundle = Bundle(self._watch.now(), self._store)
        for key, inputs in waiting.items():
            repeated = [item for item in inputs if (key, item.id) in known]
            bundle.tallies.count("accounts", "duplicate", by=len(repeated))
            fresh = [item for item in inputs if (key, item.id) not in known] if repeated else inputs
            if self.amend:
                bundle.tallies.final(users[key], by=-1)
            user = self._take(bundle, users[key], [*fresh, _closing(inputs, self._as_of)])
            bundle.tallies.final(user)
        progress.users += 0 if self.amend else len(waiting)
        yield from self._put_out(bundle)


class AdvanceUnbounded(beam.PTransform):
    """The unbounded shell: one state value and one event-time timer a user; each input is one call of `advance`."""

    def __init__(self, texts: Texts | Release, store: str | None) -> None:
        self.texts = texts
        self.store = store

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Apply every input as it comes."""
        machine = beam.ParDo(_ApplyInputs(self.texts, self.store))
        return keyed | "Typed" >> beam.Map(_itself) | "Apply" >> machine.with_outputs(*OUTPUTS, main="sends")


class _ApplyInputs(_Machine):
    USER = ReadModifyWriteStateSpec("user", BytesCoder())
    DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)

    def start_bundle(self) -> None:
        self._bundle = Bundle(self._watch.now(), self._store, live=True)

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
        yield from globally(self._put_out(self._bundle), getattr(self, "_latest", GlobalWindow().start))

    def _open(self, key: str, state: Any) -> User:
        data = state.read()
        return decode_user(data) if data is not None else open_users(self._store, [key])[key]

    def _apply(self, user: User, inputs: list[Input], state: Any, timer: Any) -> None:
        user = self._take(self._bundle, user, inputs)
        state.write(encode_user(user))
        if user.deadline is not None:
            # Up to the next millisecond: runners keep no more of a timer, and one that fires early settles nothing, is
            # set again, and fires for ever.
            timer.set(Timestamp(micros=-(-user.deadline // 1000) * 1000))
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
