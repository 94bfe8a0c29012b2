"""What comes to the state machine by key (events, rows of a store, messages of the control topic), and what goes back.

Inputs cross shuffles as (key, MessagePack of a list of inputs); the key is a user id, or `~` and an anonymous id.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.events.dead_letter import DeadLetter
from transforms.events.event import RECEIPT, Event
from transforms.events.live.transforms import CONTROL
from transforms.events.progress import Progress
from transforms.identity.zones import known_zone
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.users.effects import Account
from transforms.users.tally import Tallies, Tally
from transforms.users.user import ANONYMOUS, Input, encode_inputs, route

__all__ = [
    "ANNOUNCEMENTS",
    "ANONYMOUS_INPUTS",
    "ARRIVALS",
    "DEAD_LETTERS",
    "TALLIES",
    "CountDeadLetters",
    "KeyInputs",
    "Keyed",
    "KnownUsers",
    "NewestArrival",
    "RefusedLetters",
    "globally",
    "tally_letter",
]

#: What steps put out beside inputs of users with a user id.
ANONYMOUS_INPUTS, ARRIVALS, TALLIES, DEAD_LETTERS = "anonymous", "arrivals", "tallies", "dead_letters"
ANNOUNCEMENTS = "announcements"
#: How many inputs a bundle holds at most before it puts them out, to bound its memory.
_KEYED_AT_ONCE = 50_000

Keyed = tuple[str, bytes]


class KeyInputs(beam.PTransform):
    """Events by key, several of one bundle together (which makes the shuffle cheaper).

    Args:
      until: events that arrived after this time (microseconds UTC) are counted as later and go no further; None of a
        live job, where none does.
      historical: treat all of them as history, whatever they say: they send nothing.
      job: whose step it is.

    Returns outputs `users` and `anonymous` (both (key, inputs)), `announcements` (events that concern no user),
    `arrivals` (the newest of a bundle) and `tallies`.
    """

    def __init__(self, until: int | None = None, *, historical: bool = False, job: Job | None = None) -> None:
        self.until = until
        self.historical = historical
        self.job = job or Job()

    def step(self) -> beam.DoFn:
        """The step by itself, for a graph that does more in one."""
        return _KeyInputs(self.until, self.historical, self.job)

    def expand(self, events: beam.PCollection[Event]) -> Any:
        """Key the events."""
        keys = beam.ParDo(self.step())
        return events | "Key" >> keys.with_outputs(ANONYMOUS_INPUTS, ANNOUNCEMENTS, ARRIVALS, TALLIES, main="users")


class _KeyInputs(beam.DoFn):
    def __init__(self, until: int | None, historical: bool, job: Job) -> None:
        self.until = until
        self.historical = historical
        self.job = job
        self._unknown_zones = Metrics.counter("events", "unknown_zone")

    def start_bundle(self) -> None:
        self._progress = self.job.part(Progress)
        self._inputs: dict[str, list[Input]] = {}
        self._held = 0
        self._read = 0
        self._any = False
        self._newest: int | None = None
        self._tallies = Tallies()

    def process(self, event: Event) -> Iterable[Any]:
        if event.type != RECEIPT:  # one of an export has its account among those of control, as when it was first read
            self._read += 1
        self._any = True
        self._progress.read += 1
        if self.until is not None and event.arrival > self.until:
            self._tallies.count("control" if event.type == RECEIPT else "accounts", "", "later")
            return ()
        if self._newest is None or event.arrival > self._newest:
            self._newest = event.arrival
        if _names_no_zone(event):
            self._unknown_zones.inc()
        if event.name and self.until is not None:  # a live job counts what it applies
            self._tallies.count("events", event.name, event.type, at=event.time)
        if self.historical:
            event = msgspec.structs.replace(event, historical=True)
        if event.user is None and event.anonymous is None:
            self._tallies.count("accounts", "", "applied")
            return (beam.pvalue.TaggedOutput(ANNOUNCEMENTS, event),)
        self._inputs.setdefault(route(event), []).append(event)
        self._held += 1
        return self._drain() if self._held >= _KEYED_AT_ONCE else ()

    def finish_bundle(self) -> Iterator[Any]:
        if not self._any:  # an empty bundle must not give out a zero: it would have the time of nothing
            return
        at = Timestamp(micros=self._newest) if self._newest is not None else GlobalWindow().start
        self._tallies.count("read", by=self._read)
        results = [*self._drain(), *(beam.pvalue.TaggedOutput(TALLIES, tally) for tally in self._tallies.drain())]
        if self._newest is not None:
            results.append(beam.pvalue.TaggedOutput(ARRIVALS, self._newest))
        yield from globally(results, at)

    def _drain(self) -> Iterator[Any]:
        inputs, self._inputs, self._held = self._inputs, {}, 0
        for key, items in inputs.items():
            keyed = (key, encode_inputs(items))
            yield beam.pvalue.TaggedOutput(ANONYMOUS_INPUTS, keyed) if key.startswith(ANONYMOUS) else keyed


def _names_no_zone(event: Event) -> bool:
    """Whether an event says a time zone that nobody knows."""
    said = [event.context.get("timezone")]
    if event.type == "identify":
        said.append(event.traits.get("timezone"))
    return any(zone is not None and not known_zone(zone) for zone in said)


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

    def expand(self, refused: beam.PCollection[Account | DeadLetter]) -> Any:
        """Make dead letters."""
        return refused | "Letter" >> beam.Map(_letter)


def _letter(account: Account | DeadLetter) -> DeadLetter:
    if isinstance(account, DeadLetter):
        return account
    event = account.event
    assert event is not None
    said = {name: value for name, value in msgspec.structs.asdict(event).items() if name != "handle"}
    payload = msgspec.json.encode(said)
    return DeadLetter(payload, "advance", account.cause, f"message {event.id}", event.arrival, event.handle)


class CountDeadLetters(beam.PTransform):
    """Tallies of messages that could not be decoded: each was read, and ended as a dead letter."""

    def expand(self, letters: beam.PCollection[DeadLetter]) -> Any:
        """Count them by cause."""
        return letters | "Count" >> beam.FlatMap(_tallies_of)


def tally_letter(letter: DeadLetter) -> tuple[str, str, str]:
    """How a message that could not be decoded is counted: metric, cause and outcome."""
    return "control" if letter.source == CONTROL else "accounts", str(letter.cause), "dead_letter"


def _tallies_of(letter: DeadLetter) -> list[Tally]:
    metric, *ended = tally_letter(letter)
    ends: Tally = (metric, tuple(ended), 0), 1
    return [ends] if metric == "control" else [(("read", (), 0), 1), ends]


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


def globally(results: Iterable[Any], at: Any) -> Iterator[Any]:
    """Results of `finish_bundle`, which need a timestamp and a window of their own."""
    for result in results:
        if isinstance(result, beam.pvalue.TaggedOutput):
            yield beam.pvalue.TaggedOutput(result.tag, WindowedValue(result.value, at, (GlobalWindow(),)))
        else:
            yield WindowedValue(result, at, (GlobalWindow(),))
