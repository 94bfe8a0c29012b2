"""The state machine in Beam: inputs keyed by user, and the two shells around `advance`.

Inputs cross shuffles as (key, MessagePack of a list of inputs); the key is a user id, or `~` and an anonymous id.
"""

from collections.abc import Iterable, Iterator
from time import time
from typing import Any
from uuid import uuid4

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.effects import Send
from transforms.campaigns.release import Release, Texts
from transforms.campaigns.transforms import watcher_of
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.events.progress import Progress
from transforms.job import Job, collect_seldom
from transforms.logs import show_fields
from transforms.segments.values import DAY
from transforms.storage.open import open_store
from transforms.storage.state_cache.transforms import weigh_quickly
from transforms.storage.store import Store
from transforms.users.accounts import accounts_of
from transforms.users.effects import Account, Forward
from transforms.users.faults import Unreadable, open_user
from transforms.users.hydrate.hints import MISSING, decode_hinted
from transforms.users.hydrate.transforms import Hydrate
from transforms.users.inputs.transforms import Keyed, globally
from transforms.users.newest import LastWritten
from transforms.users.parts import PARTS
from transforms.users.seeds import newest_release
from transforms.users.tally import saturated
from transforms.users.user import (
    ANONYMOUS,
    Announcement,
    Input,
    Merge,
    TokenReassigned,
    User,
    Wake,
    by_arrival,
    decode_inputs,
    encode_inputs,
)
from transforms.users.write_batch import Handles, WriteBatch, applied_before, open_users

__all__ = [
    "ACCOUNTED",
    "DRAIN_SECONDS",
    "FORWARDED",
    "OUTPUTS",
    "AdvanceBounded",
    "AdvanceDoFn",
    "AdvanceUnbounded",
    "ApplyInputs",
    "time_of",
]

#: Beside sends: inputs for other users, those for the control topic alone, refused messages, ended handles, tallies.
FORWARDED, REASSIGNED, REFUSED, ACCOUNTED, TALLIES = "forwarded", "taken", "refused", "accounted", "tallies"
OUTPUTS = (FORWARDED, REASSIGNED, REFUSED, ACCOUNTED, TALLIES)

#: Users and inputs of a bounded bundle that are written together.
_USERS_AT_ONCE, _INPUTS_AT_ONCE = 500, 20_000
#: Of engines that go back to checkpoints, as Flink does; Dataflow keeps what a bundle committed.
_GOING_BACK = ("PortableRunner", "FlinkRunner", "SparkRunner")
#: A wake-up this far ahead of the wall clock comes from a drain, and settles nothing.
DRAIN_SECONDS = 60
#: After so long without an input and without a deadline, in microseconds, a user's state is cleared.
_IDLE, _IDLE_ANONYMOUS = 180 * DAY, 30 * DAY


class AdvanceDoFn(beam.DoFn):
    """What the shells share: the definitions, the store, and putting out what a bundle decided."""

    def __init__(self, texts: Texts | Release, store: str | None, job: Job) -> None:
        self.texts = texts
        self.store = store
        self.job = job
        self._shared = Shared()

    def setup(self) -> None:
        """Find the definitions, and open the store."""
        collect_seldom()
        weigh_quickly()
        show_fields()
        self._watcher = watcher_of(self.texts, self.job)
        url = self.store
        self._store: Store | None = None if url is None else self._shared.acquire(lambda: open_store(url), tag=url)

    def apply(self, batch: WriteBatch, user: User, inputs: list[Input]) -> tuple[User, bytes]:
        """Apply inputs. If the user was judged by newer definitions than the bundle's, apply them by newer ones."""
        if (release := newest_release(user, inputs)) > batch.definitions.release:
            batch.definitions = self._watcher.at_least(release)
        return batch.apply(user, inputs)

    def put_out(self, batch: WriteBatch) -> Iterator[Any]:
        """Write what a bundle decided, and then give it out."""
        yield from self.tagged(batch.flush())

    def tagged(self, results: Iterable[Any]) -> Iterator[Any]:
        """What a bundle gives out, by output."""
        for result in results:
            if isinstance(result, Send):
                yield result
            elif isinstance(result, Forward):
                tag = REASSIGNED if isinstance(result.input, TokenReassigned) else FORWARDED
                yield beam.pvalue.TaggedOutput(tag, (result.user, encode_inputs([result.input])))
            elif isinstance(result, Handles):
                yield beam.pvalue.TaggedOutput(ACCOUNTED, list(result.handles))
            elif isinstance(result, Account | DeadLetter):
                yield beam.pvalue.TaggedOutput(REFUSED, result)
            else:
                yield beam.pvalue.TaggedOutput(TALLIES, (result[0], saturated(result[1])))  # coders have 64 bits


class AdvanceBounded(beam.PTransform):
    """The bounded shell: group by user, sort by (arrival, id), fold, settle what is due up to `as_of`.

    Args:
      texts: the definitions, or a release of them.
      as_of: a singleton side input, microseconds UTC.
      store: URL of the store, or None to write nothing.
      continued: start from the store's rows, and pass over what earlier runs applied.
      amend: users were counted before in this run, so that only what changes is counted.
      historical: what time brings about up to `as_of` is history for everybody, and sends nothing.
      announcements: a list side input of events that concern no user; None for none.
      job: whose step it is.
      grouped: the inputs are grouped by key already.
    """

    def __init__(
        self,
        texts: Texts | Release,
        as_of: beam.pvalue.AsSingleton,
        store: str | None,
        *,
        continued: bool,
        amend: bool = False,
        historical: bool = False,
        announcements: beam.pvalue.AsList | None = None,
        job: Job | None = None,
        grouped: bool = False,
    ) -> None:
        self.texts = texts
        self.as_of = as_of
        self.announcements = announcements
        self.store = store
        self.continued = continued
        self.amend = amend
        self.historical = historical
        self.job = job or Job()
        self.grouped = grouped

    def step(self) -> beam.DoFn:
        """The step that folds, by itself: it takes a key with its inputs, the time, and announcements or None."""
        return _FoldUsers(
            self.texts, self.store, self.job, continued=self.continued, amend=self.amend, historical=self.historical
        )

    def expand(self, keyed: beam.PCollection[Any]) -> Any:
        """Fold every user's inputs."""
        if not self.grouped:
            keyed = keyed | "Typed" >> beam.Map(_itself) | "Group" >> beam.GroupByKey()
        fold = beam.ParDo(self.step(), self.as_of, self.announcements)
        return keyed | "Fold" >> fold.with_outputs(*OUTPUTS, main="sends")


class _FoldUsers(AdvanceDoFn):
    def __init__(
        self, texts: Texts | Release, store: str | None, job: Job, *, continued: bool, amend: bool, historical: bool
    ) -> None:
        super().__init__(texts, store, job)
        self.continued = continued
        self.amend = amend
        self.historical = historical

    def start_bundle(self) -> None:
        self._waiting: dict[str, list[Input]] = {}
        self._held = 0
        self._as_of = 0
        self._announcements: list[Input] = []
        last = self._store.read_run() if self.continued and self._store is not None else None
        self._judged = {} if last is None else last.judged

    def process(
        self, element: tuple[str, Iterable[bytes]], as_of: int, announcements: list[Event] | None
    ) -> Iterator[Any]:
        key, parts = element
        inputs = [item for part in parts for item in decode_inputs(part)]
        inputs.sort(key=by_arrival)
        self._waiting[key] = inputs
        self._held += len(inputs)
        self._as_of = as_of
        self._announcements = [Announcement(event) for event in announcements or ()]
        if len(self._waiting) >= _USERS_AT_ONCE or self._held >= _INPUTS_AT_ONCE:
            yield from self._turn()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield from globally(self._turn(), GlobalWindow().max_timestamp())

    def _turn(self) -> Iterator[Any]:
        waiting, self._waiting, self._held = self._waiting, {}, 0
        before = self._store if self.continued else None
        found = open_users(before, list(waiting))
        batch = WriteBatch(self._watcher.now(), self._store)
        users = batch.readable(found, waiting)
        known = applied_before(before, users, waiting) if before is not None else set()
        if before is not None:
            users |= batch.brought_over(before, users, self._judged)
        for key, inputs in waiting.items():
            if key not in users:
                continue
            repeated = [item for item in inputs if isinstance(item, Event) and (key, item.id) in known]
            for item in repeated:
                batch.tallies.effects(accounts_of(key, item, "duplicate"))
            fresh = [item for item in inputs if (key, item.id) not in known] if repeated else inputs
            if self.amend:
                batch.count_final(users[key], by=-1)
            if self._announcements:
                fresh = sorted([*fresh, *self._announcements], key=by_arrival)
            # What an earlier run decided, and nobody knows the end of: that run may have died before it was claimed.
            owed = [Wake(0, again=True)] if users[key].sends and not self.amend else []
            user, _ = self.apply(batch, users[key], [*owed, *fresh, self._closing(inputs)])
            batch.count_final(user)
        self.job.part(Progress).users += 0 if self.amend else len(waiting)
        yield from self.put_out(batch)

    def _closing(self, inputs: list[Input]) -> Wake:
        """The wake that settles a user up to the end. It is history if the last input of the user is.

        Without that, an import of old orders would send to everybody who has lapsed since then.
        """
        last = inputs[-1] if inputs else None
        return Wake(self._as_of, historical=self.historical or (isinstance(last, Event) and last.historical))


class AdvanceUnbounded(beam.PTransform):
    """The unbounded shell: one state value and one event-time timer a user; each input is one call of `advance`."""

    def __init__(self, texts: Texts | Release, store: str | None, job: Job | None = None) -> None:
        self.texts = texts
        self.store = store
        self.job = job or Job()

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Apply every input as it comes."""
        runner = keyed.pipeline.options.view_as(StandardOptions).runner or ""
        may_go_back = runner.endswith(_GOING_BACK)
        machine = beam.ParDo(_ApplyInputs(self.texts, self.store, self.job, may_go_back=may_go_back))
        return (
            keyed
            | "Typed" >> beam.Map(_itself)
            | "Hydrate" >> Hydrate(self.store, self.job)
            | "Apply" >> machine.with_outputs(*OUTPUTS, main="sends")
        )


def is_handed_over(user: User | Unreadable) -> bool:
    """Whether somebody else is to have the user's past."""
    return isinstance(user, User) and user.owner is not None


def _pasts_first(item: Input) -> tuple[bool, int, str]:
    """By arrival; but a call that a visitor passed on late must not be decided on without the visitor's past."""
    return not isinstance(item, Merge), *by_arrival(item)


class _ApplyInputs(AdvanceDoFn):
    """One user at a time, as the runner's state has it; an engine that `may_go_back` brings older states back."""

    USER = ReadModifyWriteStateSpec("user", BytesCoder())
    DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)

    def __init__(self, texts: Texts | Release, store: str | None, job: Job, *, may_go_back: bool = False) -> None:
        super().__init__(texts, store, job)
        self._may_go_back = may_go_back
        self._step = uuid4().hex

    def setup(self) -> None:
        super().setup()
        # An engine that has gone back sets its steps up anew.
        self._written = self.job.part(LastWritten, self._step)
        self._written.forget()

    def start_bundle(self) -> None:
        self._batch = self.new_batch()

    def new_batch(self) -> WriteBatch:
        """What the bundle that begins will decide."""
        return WriteBatch(self._watcher.now(), self._store, in_flight=self.job.part(InFlight))

    def process(
        self,
        element: Keyed,
        timestamp: Any = beam.DoFn.TimestampParam,
        state: Any = beam.DoFn.StateParam(USER),
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        key, data = element
        self._latest = timestamp
        hinted = decode_hinted(data)
        inputs = sorted((item for part in hinted.parts for item in decode_inputs(part)), key=_pasts_first)
        user, inputs = self.open(key, inputs, state, hinted.hint)
        for found in self._batch.readable({key: user}, {key: inputs}).values():
            self._apply(found, inputs, state, timer)

    @on_timer(DEADLINE)
    def wake(
        self,
        key: str = beam.DoFn.KeyParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        state: Any = beam.DoFn.StateParam(USER),
        timer: Any = beam.DoFn.TimerParam(DEADLINE),
    ) -> None:
        self._latest = timestamp
        if timestamp.micros > (time() + DRAIN_SECONDS) * 1_000_000:
            return
        found, inputs = self.open(key, [Wake(timestamp.micros)], state)
        user = self._batch.readable({key: found}, {}).get(key)
        if user is None:
            return
        if PARTS.deadline_of(user) is None and _due(user) <= timestamp.micros and self._store is not None:
            state.clear()  # the row is the same, and brings the user back
            return
        self._apply(user, inputs, state, timer)

    def finish_bundle(self) -> Iterator[Any]:
        latest = getattr(self, "_latest", GlobalWindow().start)
        for result in self.put_out(self._batch):
            yield from globally([result], time_of(result, latest))

    def open(
        self, key: str, inputs: list[Input], state: Any, hint: bytes | None = None
    ) -> tuple[User | Unreadable, list[Input]]:
        """The user, and the inputs with what must come before them.

        State stands over the hint, which is of the row from before that state. If the row is newer, the engine has gone
        back, and what is of a forgotten time is taken back. Without state the hint stands, even if the row is newer:
        then this bundle has run before and wrote it, and with the hint it decides everything again.
        Where nobody asked, the row itself is read. It may have these inputs already, from an earlier run of this bundle
        whose sends nobody has seen. So open sends are given out again. An id that was handed over also gives its past
        again: its owner may not have it, and must not decide without it on what is passed on now.
        """
        if (data := state.read()) is not None:
            user = open_user(key, data)
            if (row := self.newer(key, data, hint)) is not None and isinstance(user, User):
                user = self._batch.take_back(user, row)
            return user, inputs
        if hint is None:
            return open_users(self._store, [key])[key], [Wake(0, again=True), *inputs]
        user = User(key) if hint == MISSING else open_user(key, hint)
        return user, [Wake(0, again=True), *inputs] if is_handed_over(user) else inputs

    def newer(self, key: str, data: bytes, hint: bytes | None) -> bytes | None:
        """The user's row if it is newer than a state. Where nobody has asked for it, it is read if that may be so."""
        store = self._store if self._may_go_back or hint is not None else None
        return self._written.newer(store, key, data, hint)

    def _apply(self, user: User, inputs: list[Input], state: Any, timer: Any) -> None:
        user, data = self.apply(self._batch, user, inputs)
        if self._may_go_back:
            self._written.note(user.id, user.version)
        state.write(data)
        # Up to the next millisecond: runners keep no more of a timer, and one that fires early settles nothing, is set
        # again, and fires for ever.
        timer.set(Timestamp(micros=-(-_due(user) // 1000) * 1000))


#: For shells that add something. The names of classes stand in labels, which running jobs are updated by.
ApplyInputs = _ApplyInputs


def _due(user: User) -> int:
    """When the timer of a user must fire: at the next deadline, else when nothing has been heard for too long."""
    if (deadline := PARTS.deadline_of(user)) is not None:
        return deadline
    return user.clock + (_IDLE_ANONYMOUS if user.id.startswith(ANONYMOUS) else _IDLE)


def _itself(keyed: Keyed) -> Keyed:
    """Declares the types before a shuffle by key, which chooses its coders by them: a flattened one has none."""
    return keyed


def time_of(result: Any, latest: Any) -> Any:
    """What was decided at a time of its own is counted then: one bundle may have timers of many."""
    tally = isinstance(result, beam.pvalue.TaggedOutput) and result.tag == TALLIES
    return Timestamp(micros=result.value[0][2]) if tally and result.value[0][2] else latest
