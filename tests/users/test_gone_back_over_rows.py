"""A job whose state is the engine's: it goes back to a checkpoint, and rows of a forgotten time are newer than that.

The model is an engine that keeps states, timers, and what it has read. All of that goes back together, as on Flink over
files; rows do not. Then what was read since then comes again, in any order and in other bundles.
"""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from core import DAY, HOUR, START, Plain, compile_plain, essence, run_bounded, texts_of
from going_back import Cell
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import SHOP
from strength import examples

from transforms.events.event import Event
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.users.hydrate.hints import AskedKeys, Hinted, encode_hinted, read_hints
from transforms.users.transforms import FORWARDED, ApplyInputs
from transforms.users.user import ANONYMOUS, User, decode_user, encode_inputs, route

DEFINITIONS: Plain = {"segments": SHOP["segments"]}
TEXTS, COMPILED = texts_of(DEFINITIONS), compile_plain(DEFINITIONS)
#: Nothing falls due after it.
END = START + 40 * DAY
Keyed = tuple[str, bytes]
Moves = list[tuple[str, Any]]


class Timers:
    """The timers of all keys, as one of them sees its own."""

    def __init__(self, of: dict[str, int], key: str) -> None:
        self._of, self._key = of, key

    def set(self, at: Timestamp) -> None:
        self._of[self._key] = at.micros


class Half:
    """A step of the state machine, of visitors or of users, and what the engine keeps for it."""

    def __init__(self, url: str) -> None:
        self.states: dict[str, bytes] = {}
        self.timers: dict[str, int] = {}
        self._url = url
        self.start(Job())

    def start(self, job: Job) -> None:
        self.step = ApplyInputs(TEXTS, self._url, job, may_go_back=True)
        self.step.setup()
        self._asked = job.part(AskedKeys)

    def take(self, elements: list[Keyed]) -> list[Keyed]:
        """One bundle; returns what is passed on."""
        assert self.step._store is not None
        hints = read_hints(self.step._store, self._asked, {key: None for key, _ in elements})
        self.step.start_bundle()
        for key, data in elements:
            hinted = encode_hinted(Hinted((data,), hints.pop(key, None)))
            self.step.process((key, hinted), Timestamp(0), Cell(self.states, key), Timers(self.timers, key))
        return self._end()

    def wake(self, until: int) -> list[Keyed]:
        """Timers fire, in one bundle."""
        self.step.start_bundle()
        while due := [(at, key) for key, at in self.timers.items() if at <= until]:
            at, key = min(due)
            del self.timers[key]
            self.step.wake(key, Timestamp(micros=at), Cell(self.states, key), Timers(self.timers, key))
        return self._end()

    def _end(self) -> list[Keyed]:
        tagged = [each for each in self.step.finish_bundle() if isinstance(each, TaggedOutput)]
        return [each.value.value for each in tagged if each.tag == FORWARDED]


class Engine:
    """A job over events. What visitors pass on, users take at once: checkpoints have nothing on its way."""

    def __init__(self, url: str, events: list[Event]) -> None:
        self.events = events
        self.left = list(range(len(events)))
        self.store = open_store(url)
        self._halves = Half(url), Half(url)
        self.visitors, self.users = self._halves
        self.checkpoint()

    def close(self) -> None:
        self.store.close()

    def deliver(self, numbers: list[int]) -> None:
        """Some of the events that were not read yet, in one bundle."""
        taken = [self.left.pop(number % len(self.left)) for number in numbers if self.left]
        keyed = [(route(event), encode_inputs([event])) for event in (self.events[number] for number in taken)]
        passed = self.visitors.take([each for each in keyed if each[0].startswith(ANONYMOUS)])
        self.users.take([*(each for each in keyed if not each[0].startswith(ANONYMOUS)), *passed])

    def wake(self, hours: int) -> None:
        """Timers fire until so many hours after the start."""
        self.users.take(self.visitors.wake(START + hours * HOUR))
        self.users.wake(START + hours * HOUR)

    def checkpoint(self) -> None:
        self._kept = [*self.left], [(dict(half.states), dict(half.timers)) for half in self._halves]

    def go_back(self, whole: bool) -> None:
        """Some process died; with `whole` this one too, else it goes on with what it remembers."""
        self.left = [*self._kept[0]]
        for half, (states, timers) in zip(self._halves, self._kept[1], strict=True):
            half.states, half.timers = dict(states), dict(timers)
            half.start(Job() if whole else half.step.job)

    def finish(self, chance: Random) -> None:
        while self.left:
            self.deliver([chance.randrange(len(self.left)) for _ in range(chance.randint(1, 3))])
        self.wake((END - START) // HOUR)


def event(number: int, kind: str, hour: int, visitor: str | None, user: str | None) -> Event:
    at = START + hour * HOUR // 2 + number
    if kind == "identify":
        traits = {"plan": "pro" if number % 2 else "free"}
        return Event(f"m{number}", "identify", "", at, at, user=user, anonymous=visitor, traits=traits)
    return Event(f"m{number}", "track", kind, at, at, user=user, anonymous=visitor, properties={"amount": number})


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """A day of two users, and of a visitor who becomes one of them."""
    events = []
    for number in range(draw(st.integers(2, 8))):
        who = draw(st.sampled_from(((None, "ada"), (None, "ada"), (None, "bea"), ("v1", None), ("v1", "ada"))))
        kind = "identify" if who == ("v1", "ada") else draw(st.sampled_from(("Viewed", "Ordered", "identify")))
        named = who if kind != "identify" or who[1] else ("v1", "ada")
        events.append(event(number, kind, draw(st.integers(0, 6)), *named))
    return events


DELIVER = st.tuples(st.just("deliver"), st.lists(st.integers(0, 20), min_size=1, max_size=3))
GO_ON = st.lists(st.one_of(DELIVER, st.tuples(st.just("wake"), st.integers(1, 5))), max_size=3)
#: What happens until the engine goes back.
ROUND = st.tuples(GO_ON, st.just(("checkpoint", None)), GO_ON, st.booleans()).map(
    lambda drawn: [*drawn[0], drawn[1], *drawn[2], ("go_back", drawn[3])]
)
MOVES = st.lists(ROUND, min_size=1, max_size=3).map(lambda rounds: [move for each in rounds for move in each])


def check(events: list[Event], moves: Moves, seed: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(f"sqlite:{Path(folder) / 'store.db'}", events)
        try:
            for move, how in moves:
                getattr(engine, move)(*(() if how is None else (how,)))
            engine.finish(Random(seed))
            assert_rows(engine)
        finally:
            engine.close()


def assert_rows(engine: Engine) -> None:
    """Rows are of the engine's states, and of no forgotten time."""
    store, expected = engine.store, run_bounded(engine.events, COMPILED, END)[0]
    users: dict[str, User] = {row.user: decode_user(row.state) for row in store.scan_users()}
    assert essence(users, COMPILED) == essence(expected, COMPILED)
    for half in (engine.visitors, engine.users):
        for key, state in half.states.items():
            assert users[key] == decode_user(state)
    for segment in COMPILED.segments:
        listed = {row.user: row.since for row in store.scan_members(segment)}
        assert listed == {key: user.members[segment] for key, user in users.items() if segment in user.members}
    for key, user in users.items():
        assert all(row.version <= user.version for row in store.read_events(key))


@settings(max_examples=examples(100), deadline=None)
@given(histories(), MOVES, st.integers(0, 1_000))
def test_rows_are_of_no_forgotten_time(events: list[Event], moves: Moves, seed: int) -> None:
    check(events, moves, seed)


#: Ada looks, and orders half an hour later: so she leaves no cart behind, unless the order is not known for an hour.
LOOK_AND_ORDER = [event(0, "Viewed", 0, None, "ada"), event(1, "Ordered", 1, None, "ada")]
KEPT = "checkpoint", None
LOOKED = ("deliver", [0]), KEPT


def check_whole_or_not(events: list[Event], before: Moves, after: Moves) -> None:
    for whole in (True, False):
        check(events, [*before, ("go_back", whole), *after])


def test_a_member_of_a_forgotten_time_is_none() -> None:
    """What was seen on Flink: `abandoned` came with the hour, and did not go when the order came before it."""
    check_whole_or_not(LOOK_AND_ORDER, [*LOOKED, ("wake", 2)], [("deliver", [0])])


def test_who_left_in_a_forgotten_time_is_a_member() -> None:
    """A second look makes her leave a cart again; if she was known to have left one, and orders in between, not."""
    looks = [*LOOK_AND_ORDER, event(2, "Viewed", 8, None, "ada")]
    check_whole_or_not(
        looks, [("deliver", [0]), ("wake", 2), KEPT, ("deliver", [0])], [("deliver", [1]), ("deliver", [0])]
    )


def test_a_row_of_more_bundles_does_not_stand() -> None:
    looks = [event(number, "Viewed", number, None, "ada") for number in range(9)]
    check_whole_or_not(looks, [*LOOKED, *[("deliver", [0])] * 8], [("deliver", [0] * 8)])


def test_a_timer_may_come_first() -> None:
    check_whole_or_not(LOOK_AND_ORDER, [*LOOKED, ("deliver", [0]), ("wake", 1)], [("wake", 2), ("deliver", [0])])
