"""Seeds made of a history, for those who wait for them: with them a live job's users are those of the whole history."""

import json
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from core import HOUR, MINUTE, START, added, decode_all, known, of_type, run_bounded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import memberships
from releases import publish, release_of
from strength import examples
from test_warming_agrees import Change, lived

from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.release import Release
from transforms.events.event import Event
from transforms.storage.rows import UserRow
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.advance import fold
from transforms.users.control import decode_control
from transforms.users.effects import Effect, Forward
from transforms.users.prepare.evidence import evidence_before
from transforms.users.rows import user_row
from transforms.users.seeding import History, Seeding, activated, awaited, evidence_of, seed_payloads
from transforms.users.seeding_archive import archive_payloads
from transforms.users.user import Input, Seed, SeedState, User, Wake, encode_user, route

Plain = dict[str, Any]

slow = settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))


OLD: Plain = {"segments": {"s": {"members": {"event": "A"}}}}
NEW: Plain = {"segments": {"s": {"members": {"event": "A", "count": {"at_least": 2}}}}}
#: When the second release is published and when its leaves begin to count.
PUBLISHED, ACTIVE = START + 30 * MINUTE, START + 40 * MINUTE


class Job:
    """The users of a live job: each input is taken in turn, and what goes on to others at once."""

    def __init__(self, users: dict[str, User], definitions: Definitions) -> None:
        self.users = dict(users)
        self.definitions = definitions

    def take(self, key: str, *inputs: Input) -> list[Effect]:
        waiting, effects = deque((key, item) for item in inputs), []
        while waiting:
            name, item = waiting.popleft()
            self.users[name], found = fold(self.users.get(name, User(name)), [item], self.definitions)
            waiting.extend((forward.user, forward.input) for forward in of_type(Forward, found))
            effects += found
        return effects

    def read(self, events: Iterable[Event]) -> None:
        for event in sorted(events, key=lambda each: (each.arrival, each.id)):
            self.take(route(event), event)

    def rows(self) -> list[UserRow]:
        return [user_row(user, encode_user(user), []) for _, user in sorted(self.users.items())]

    def warming(self) -> set[str]:
        return {name for name, user in self.users.items() if user.warming and user.owner is None}


def by_rows(events: Iterable[Event], release: Release, at: int) -> list[tuple[str, bytes]]:
    whole = compiled(msgspec.structs.replace(release, whole=True))
    users, _ = run_bounded([event for event in events if event.arrival < at], whole, at - 1)
    leaves = activated(compiled(release), at)
    return [(name, evidence_of(user, leaves)) for name, user in users.items() if user.owner is None]


def by_columns(history: Iterable[Plain], release: Release, at: int, folder: Path) -> list[tuple[str, bytes]]:
    lines = [json.dumps(message).encode() for message in history]
    _, evidence = evidence_before(lines, activated(compiled(release), at), at, folder / str(at))
    return list(evidence)


def payloads(job: Job, evidence: list[tuple[str, bytes]], at: int) -> tuple[list[bytes], Seeding]:
    done = Seeding()
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        history.write(at, evidence)
        made = list(seed_payloads(job.rows(), job.definitions, {at}, history, done))
        history.close()
    return made, done


def deliver(job: Job, messages: Iterable[bytes]) -> list[Effect]:
    return [effect for message in messages for effect in job.take(*flat(decode_control(message, None)))]


def flat(decoded: tuple[str, list[Input]]) -> tuple[Any, ...]:
    return decoded[0], *decoded[1]


def plain(message: bytes) -> tuple[str, list[Seed]]:
    """A message with seeds: whose they are, and what was added up as one source."""
    key, inputs = decode_control(message, None)
    return key, [
        msgspec.structs.replace(seed, leaves={leaf: added(evidence) for leaf, evidence in seed.leaves.items()})
        for seed in of_type(Seed, inputs)
    ]


def first_copies(change: Change) -> list[Plain]:
    """The history as the events of a change are: each message as it came first."""
    wanted = {(event.id, event.arrival) for event in change.events}
    return [each for each in change.history if (decode_all([each])[0].id, decode_all([each])[0].arrival) in wanted]


def call(event: str, at: int, user: str | None = None, visitor: str | None = None, **fields: Any) -> Event:
    name = f"{event} {at} {user} {visitor}"
    return Event(name, fields.pop("type", "track"), event, START + at, START + at, user, visitor, **fields)


def told(*events: Event, upgraded: int = PUBLISHED) -> tuple[Job, dict[str, Seed], Seeding]:
    """A job that learned of the second release at a time, and the seeds for its users, by the id that they are for."""
    first = release_of(OLD, START)
    second = publish(first, NEW, PUBLISHED, ACTIVE)
    job = Job({}, compiled(first))
    job.read(event for event in events if event.arrival < upgraded)
    job.definitions = compiled(second)
    job.read(event for event in events if event.arrival >= upgraded)
    made, done = payloads(job, by_rows(events, second, ACTIVE), ACTIVE)
    inputs = [(key, item) for each in made for key, items in [decode_control(each, None)] for item in items]
    return job, {f"{key}<{item.user}": item for key, item in inputs if isinstance(item, Seed)}, done


def count(seed: Seed) -> int:
    return sum(len(evidence) for evidence in seed.leaves.values() if isinstance(evidence, tuple))


def test_everybody_known_before_the_activation_gets_one_if_only_an_empty_one() -> None:
    _, seeds, done = told(call("A", 0, "ann"), call("A", 1, "ann"), call("B", 2, "bob"), call("A", 3, None, "x"))
    assert {name: count(seed) for name, seed in seeds.items()} == {"ann<ann": 2, "bob<bob": 0, "~x<~x": 1}
    assert (done.users, done.seeded.total(), done.empty.total()) == (3, 2, 1)
    assert {seed.id for seed in seeds.values()} == {
        f"\x00seed:backfill 2026-03-27T00:40:00Z:{name}" for name in ("ann", "bob", "~x")
    }


def test_who_was_first_seen_at_the_activation_or_later_gets_none() -> None:
    job, seeds, done = told(call("A", 40 * MINUTE, "new"), call("A", 41 * MINUTE, "new"), call("A", 42 * MINUTE, "new"))
    assert (seeds, done.users, awaited(job.rows(), job.definitions)) == ({}, 1, set())
    assert set(job.users["new"].members) == {"s"}


def test_an_activation_is_awaited_until_the_last_seed_has_come() -> None:
    job, seeds, _ = told(call("A", 0, "ann"), call("A", 1, "bob"))
    for name in ("ann", "bob"):
        assert awaited(job.rows(), job.definitions) == {ACTIVE}
        job.take(name, seeds[f"{name}<{name}"])
    assert awaited(job.rows(), job.definitions) == set()


def test_what_came_before_the_activation_follows_whoever_has_the_past() -> None:
    """Identified before it, the history is the user's own; after it, a seed of its own goes to the user, too."""
    early = (call("A", 0, None, "x"), call("", 1, "ann", "x", type="identify"), call("A", 2, "ann"))
    assert {name: count(seed) for name, seed in told(*early)[1].items()} == {"ann<ann": 2}
    late = (call("A", 0, None, "x"), call("A", 1, "ann"), call("", HOUR, "ann", "x", type="identify"))
    job, seeds, _ = told(*late)
    assert {name: count(seed) for name, seed in seeds.items()} == {"ann<ann": 1, "ann<~x": 1, "~x<~x": 1}
    for name, seed in seeds.items():
        job.take(name.partition("<")[0], seed)
    assert (set(job.users["ann"].members), job.warming()) == ({"s"}, set())


def test_who_cannot_be_made_up_for_is_counted_and_gets_none() -> None:
    job, seeds, done = told(call("A", 0, "ann"), call("A", 50 * MINUTE, "ann"), upgraded=START + HOUR)
    assert (seeds, done.missed) == ({}, {ACTIVE: 1})
    assert awaited(job.rows(), job.definitions) == set()


def test_who_was_deleted_gets_none() -> None:
    _, seeds, done = told(call("A", 0, "ann"), call("", 1, "ann", type="delete"))
    assert (seeds, done.users) == ({}, 0)


@slow
@given(lived(), st.data())
def test_a_job_that_was_seeded_ends_as_the_whole_history_does(change: Change, data: st.DataObject) -> None:
    """Made while the job reads on; some are lost before they are made again."""
    at, later = change.activation, sorted(e.arrival for e in change.events if e.arrival >= change.activation)
    when = data.draw(st.sampled_from([at, *later]))
    job = Job(change.before, change.definitions)
    job.read(event for event in change.events if change.published <= event.arrival < when)
    if data.draw(st.booleans()):
        evidence = by_rows(change.events, change.new, at)
    else:
        with tempfile.TemporaryDirectory() as folder:
            evidence = by_columns(first_copies(change), change.new, at, Path(folder))
    made, _ = payloads(job, evidence, at)
    deliver(job, data.draw(st.permutations(made))[: data.draw(st.integers(0, len(made)))])
    rest = [event for event in change.events if event.arrival >= when]
    soon = data.draw(st.integers(0, len(rest)))
    rest.sort(key=lambda each: (each.arrival, each.id))
    job.read(rest[:soon])
    again, _ = payloads(job, evidence, at)
    deliver(job, data.draw(st.permutations(again)))
    assert job.warming() == set()
    assert awaited(job.rows(), job.definitions) == set()
    before = job.users
    nothing, _ = payloads(job, evidence, at)
    deliver(job, nothing)
    assert {name: (user.leaves, user.members, user.seeds) for name, user in job.users.items()} == {
        name: (user.leaves, user.members, user.seeds) for name, user in before.items()
    }
    job.read(rest[soon:])
    for name in list(job.users):
        job.take(name, Wake(change.as_of))
    assert known(job.users) == memberships(change.plain, change.history, change.as_of)


@slow
@given(lived())
def test_columns_and_rows_make_the_same_seeds(change: Change) -> None:
    job = Job(change.before, change.definitions)
    job.read(event for event in change.events if event.arrival >= change.published)
    with tempfile.TemporaryDirectory() as folder:
        evidence = by_columns(first_copies(change), change.new, change.activation, Path(folder))
    columnar, done = payloads(job, evidence, change.activation)
    rows, same = payloads(job, by_rows(change.events, change.new, change.activation), change.activation)
    assert [plain(each) for each in columnar] == [plain(each) for each in rows]
    assert done == same


def test_a_row_that_cannot_be_read_keeps_nobody_from_a_seed() -> None:
    waits = User("u", clock=PUBLISHED, created=START, release=1)
    definitions = release_of_both()
    rows = [UserRow("torn", 1, b"\xc1", b"{}"), user_row(waits, encode_user(waits))]
    assert awaited(rows, definitions) == {ACTIVE}
    assert awaited(rows[:1], definitions) == set()


def test_nor_from_one_of_the_archive() -> None:
    waits = User("u", clock=PUBLISHED, created=START, release=1)
    owner = User("v", clock=PUBLISHED, created=START, release=1, seeds={ACTIVE: {"torn": SeedState.AWAITED}})
    store = SqliteStore(":memory:")
    store.write_users([UserRow("torn", 1, b"\xc1", b"{}"), *(user_row(u, encode_user(u)) for u in (waits, owner))])
    made = archive_payloads(store, release_of_both(), {ACTIVE}, Seeding())
    assert [decode_control(each, None)[0] for each in made] == ["u", "v"]


def release_of_both() -> Definitions:
    return compiled(publish(release_of(OLD), NEW, PUBLISHED, ACTIVE))
