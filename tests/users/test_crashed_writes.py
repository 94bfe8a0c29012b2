"""A process that dies between two writes of a bundle: what comes again leaves rows as if nothing had happened."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from core import DAY, MINUTE, START, compile_plain
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import examples

from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.advance import fold
from transforms.users.effects import Forward
from transforms.users.members import standing_members
from transforms.users.user import Input, TokenReassigned, User, Wake, decode_user
from transforms.users.write_batch import WriteBatch, applied_before, open_users

DEFINITIONS = compile_plain(
    {
        "segments": {
            "here": {"members": {"event": "A", "within": "1h"}},
            "quiet": {"members": {"not": {"event": "A", "within": "1h"}}},
            "left": {"members": {"event": "A", "missing": {"event": "B", "within": "1h"}}},
            "first": {"members": {"event": "B", "count": {"is": 1}}},
        }
    }
)
#: The writes of a bundle, as a store's method and the number of its call.
WRITES = [("write_events", 1), ("write_members", 1), ("record", 1), ("write_users", 1), ("write_members", 2)]
END = START + DAY


class Died(Exception):
    pass


class Dying:
    """A store whose process dies at a write: before it is done, or after. Rows stand by themselves, as in Bigtable,
    unless they are `whole`.
    """

    def __init__(self, store: Store, method: str, call: int, *, done: bool, whole: bool = False) -> None:
        self._store, self._method, self._left, self._done, self._whole = store, method, call, done, whole

    def transaction(self) -> Any:
        return self._store.transaction() if self._whole else nullcontext()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name != self._method:
            return method

        def write(*arguments: Any) -> Any:
            self._left -= 1
            if self._left:
                return method(*arguments)
            if self._done:
                method(*arguments)
            raise Died

        return write


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(f"sqlite:{tmp_path_factory.mktemp('crashed') / 'store.db'}")


def apply(store: Any, name: str, inputs: list[Input]) -> User:
    """One bundle of the user, from its row."""
    batch = WriteBatch(DEFINITIONS, store)
    batch.apply(open_users(store, [name])[name], inputs)
    list(batch.flush())
    return decode_user(store.read_users([name])[name].state)


def members(store: Store, name: str) -> dict[str, int]:
    rows = (row for segment in DEFINITIONS.segments for row in standing_members(store, segment))
    return {row.segment: row.since for row in rows if row.user == name}


def event(name: str, at: int, arrival: int, user: str) -> Event:
    return Event(f"{name}{at}", "track", name, START + at, START + arrival, user)


def test_nobody_stays_a_member_by_a_write_that_came_to_nothing(store: Store) -> None:
    first = event("A", 0, 0, "u1")
    with pytest.raises(Died):
        apply(Dying(store, "write_users", 1, done=False), "u1", [first])
    # It comes again after the next one, when the hour is long over.
    apply(store, "u1", [event("C", 120 * MINUTE, 120 * MINUTE, "u1")])
    assert set(apply(store, "u1", [first]).members) == set(members(store, "u1")) == {"quiet", "left"}


def test_nobody_ceases_to_be_a_member_by_a_write_that_came_to_nothing(store: Store) -> None:
    apply(store, "u2", [event("C", 0, 0, "u2")])
    second = event("A", MINUTE, MINUTE, "u2")
    with pytest.raises(Died):
        apply(Dying(store, "write_users", 1, done=False), "u2", [second])
    apply(store, "u2", [event("C", 120 * MINUTE, 120 * MINUTE, "u2")])
    apply(store, "u2", [second])
    assert set(members(store, "u2")) == {"quiet", "left"}


def test_a_late_message_that_was_archived_and_not_applied_comes_again(store: Store) -> None:
    """Else a run that continues would take it for one that an earlier run applied."""
    apply(store, "u9", [event("C", 120 * MINUTE, 120 * MINUTE, "u9")])
    late = event("A", 0, 60 * MINUTE, "u9")
    with pytest.raises(Died):
        apply(Dying(store, "write_users", 1, done=False), "u9", [late])
    assert [row.id for row in store.read_events("u9")] == ["C7200000000", late.id]
    assert applied_before(store, open_users(store, ["u9"]), {"u9": [late]}) == set()
    apply(store, "u9", [late])
    long_after = [event("C", at * DAY, at * DAY, "u9") for at in (2, 4)]
    apply(store, "u9", list(long_after))
    assert applied_before(store, open_users(store, ["u9"]), {"u9": [late]}) == {("u9", late.id)}


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("method", "call"), [*WRITES, ("add_metrics", 1)])
def test_in_sqlite_a_bundle_and_what_it_counts_stand_whole_or_not_at_all(
    tmp_path: Path, method: str, call: int, done: bool
) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    count(store, "u1", [event("A", 0, 0, "u1")])
    before = everything(store, "u1")
    again = [event("A", 90 * MINUTE, 90 * MINUTE, "u1"), event("B", 100 * MINUTE, 100 * MINUTE, "u1")]
    with pytest.raises(Died):
        count(Dying(store, method, call, done=done, whole=True), "u1", again)
    assert everything(store, "u1") == before
    count(store, "u1", again)
    accounts = [(row.series, row.count) for row in store.scan_metrics("accounts{")]
    assert accounts == [('accounts{outcome="applied"}', 3)]
    store.close()


def count(store: Any, name: str, inputs: list[Input]) -> None:
    """One bundle of a live job on one machine."""
    batch = WriteBatch(DEFINITIONS, store, in_flight=InFlight(), counts_with_rows=True, clock=lambda: START)
    batch.apply(open_users(store, [name])[name], inputs)
    assert not any(isinstance(result, tuple) for result in batch.flush()), "no tally is given out"


def everything(store: Store, name: str) -> list[Any]:
    found: list[Any] = [*store.scan_users(), *store.read_events(name), *store.scan_metrics("")]
    return found + [row for segment in DEFINITIONS.segments for row in store.scan_members(segment)]


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_members_are_those_of_the_user_wherever_a_bundle_dies(store: Store, data: st.DataObject) -> None:
    name = uuid4().hex
    times = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True))
    events = [event(data.draw(st.sampled_from("ABC")), at * 40 * MINUTE, at * 40 * MINUTE, name) for at in times]
    waiting: list[Event] = list(events)
    while waiting:
        taken = data.draw(st.lists(st.sampled_from(waiting), min_size=1, max_size=3, unique_by=lambda each: each.id))
        dying = data.draw(st.none() | st.tuples(st.sampled_from(WRITES), st.booleans()))
        if dying is not None:
            (method, call), done = dying
            with pytest.raises(Died):
                apply(Dying(store, method, call, done=done), name, list(taken))
            continue
        apply(store, name, list(taken))
        waiting = [each for each in waiting if each not in taken]
    user = apply(store, name, [Wake(END)])
    assert members(store, name) == user.members
    assert sorted(row.id for row in store.read_events(name)) == sorted(each.id for each in events)
    ordered = sorted(events, key=lambda each: each.arrival)
    assert set(user.members) == set(fold(User(name), [*ordered, Wake(END)], DEFINITIONS)[0].members)


def registered(store: Any, name: str, at: int) -> list[tuple[str, str]]:
    """One bundle in which a user registers a token; returns who is told of which token that was taken."""
    device = {"device": {"token": "phone", "type": "ios"}}
    batch = WriteBatch(DEFINITIONS, store)
    item = Event(f"{name} {at}", "identify", "", START + at, START + at, name, context=device)
    batch.apply(open_users(store, [name])[name], [item])
    results = list(batch.flush())
    return [
        (result.user, result.input.token)
        for result in results
        if isinstance(result, Forward) and isinstance(result.input, TokenReassigned)
    ]


@pytest.mark.parametrize(("method", "call"), [("write_identities", 1), ("write_users", 1), ("write_members", 2)])
def test_who_had_a_token_is_told_wherever_a_bundle_dies(tmp_path: Path, method: str, call: int) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    assert registered(store, "first", 0) == []
    for _ in range(2):
        with pytest.raises(Died):
            registered(Dying(store, method, call, done=True), "second", MINUTE)
    assert registered(store, "second", MINUTE) == [("first", "phone")]


def test_who_had_a_token_is_told_again_if_the_process_died_before_it_told(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    registered(store, "first", 0)
    assert registered(store, "second", MINUTE) == [("first", "phone")]
    # What was given out was lost, so the message comes again, and is a duplicate.
    assert registered(store, "second", MINUTE) == [("first", "phone")]


def test_rows_that_are_written_beside_do_not_outrun_those_that_failed(tmp_path: Path) -> None:
    """Else a message would be known as applied, of which the archive has nothing."""
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    dying = Dying(store, "write_events", 1, done=False)
    with ThreadPoolExecutor(1) as writer:
        batch = WriteBatch(DEFINITIONS, dying)
        user, _ = batch.apply(User("ada"), [event("A", 0, 0, "ada")])
        batch.write_beside(writer, 1)
        batch.apply(user, [event("B", MINUTE, MINUTE, "ada")])
        batch.write_beside(writer, 1)
        with pytest.raises(Died):
            list(batch.flush())
    assert not store.has_users()


def test_rows_that_are_written_beside_are_there_before_anything_is_given_out(tmp_path: Path) -> None:
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    with ThreadPoolExecutor(1) as writer:
        batch = WriteBatch(DEFINITIONS, store)
        for number in range(5):
            batch.apply(User(f"u{number}"), [event("A", number, number, f"u{number}")])
            batch.write_beside(writer, 2)
        results = batch.flush()
        next(results)
        assert sorted(row.user for row in store.scan_users()) == [f"u{number}" for number in range(5)]
        assert [len(store.read_events(f"u{number}")) for number in range(5)] == [1] * 5
