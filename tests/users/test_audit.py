"""Live memberships against those of the archive by columns: nothing but what was planted differs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, compile_plain, decode_all
from generators import START, definitions, histories, instants, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import publish, release_of
from strength import examples
from test_prepare import stories

from transforms.campaigns.load import Definitions, compiled
from transforms.events.event import Event
from transforms.storage.rows import EventRow
from transforms.storage.sqlite.store import SqliteStore
from transforms.storage.store import Store
from transforms.users.audit import Audit, Difference, audit, columnar_segments
from transforms.users.control import decode_control
from transforms.users.effects import Forward
from transforms.users.seeding import Seeding
from transforms.users.seeding_archive import archive_payloads
from transforms.users.user import Input, decode_user, encode_user, pack_members, route
from transforms.users.write_batch import WriteBatch, open_users

Plain = dict[str, Any]
slow = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


class Job:
    """A live job: each input is a bundle of its own."""

    def __init__(self, definitions: Definitions, store: Store | None = None) -> None:
        self.store: Store = store or SqliteStore(":memory:")
        self.definitions = definitions

    def take(self, key: str, item: Input) -> None:
        """Apply an input, and what it leads to for others."""
        batch = WriteBatch(self.definitions, self.store)
        batch.apply(open_users(self.store, [key])[key], [item])
        for result in list(batch.flush()):
            if isinstance(result, Forward):
                self.take(result.user, result.input)

    def take_all(self, events: list[Event]) -> None:
        for event in sorted(events, key=lambda each: (each.arrival, each.id)):
            self.take(route(event), event)

    def audit(self, as_of: int, **more: int) -> Audit:
        return audit(self.store, self.definitions, as_of, **more)

    def plant(self, name: str, segment: str, *, member: bool) -> None:
        """Write a membership that nothing has led to, or take one away."""
        row = self.store.read_users([name])[name]
        user = decode_user(row.state)
        members = user.members | {segment: START} if member else {k: v for k, v in user.members.items() if k != segment}
        changed = msgspec.structs.replace(user, packed_members=pack_members(members), version=user.version + 1)
        state = encode_user(changed)
        self.store.write_users([msgspec.structs.replace(row, state=state, version=row.version + 1)])


@slow
@given(st.data())
def test_a_job_agrees_with_its_archive_at_any_time(data: st.DataObject) -> None:
    history, plain = data.draw(histories()), data.draw(definitions())
    job = Job(compile_plain(plain))
    read = data.draw(st.sampled_from(instants(plain, history)))
    job.take_all([event for event in decode_all(history) if event.arrival <= read])
    for as_of in data.draw(st.lists(st.sampled_from(instants(plain, history)), min_size=1, max_size=2)):
        done = job.audit(as_of, at_once=data.draw(st.integers(1, 3)))
        assert done.differences == []
        assert set(done.outcomes) <= {"agree"}


@slow
@given(stories())
def test_merged_and_deleted_users_agree(story: list[Plain]) -> None:
    job = Job(SHOP)
    job.take_all(decode_all(story))
    done = job.audit(START + 14 * HOUR)
    assert (done.differences, set(done.outcomes) <= {"agree"}) == ([], True)


OLD: Plain = {"segments": {"s": {"members": {"event": "A"}}}}
NEW: Plain = {"segments": {"s": {"members": {"event": "A", "count": {"at_least": 3}}}}}
SHOP = compile_plain(
    {
        "segments": {
            "buyers": {"members": {"event": "A", "count": {"at_least": 2}, "within": "2d"}},
            "pros": {"members": {"attribute": "plan", "is": "pro"}},
            "reached": {"members": {"reachable": "push"}},
            "both": {"members": {"all": [{"segment": "buyers"}, {"segment": "pros"}]}},
        }
    }
)


def call(type_: str, hour: int, user: str, **fields: Any) -> Plain:
    at = iso(START + hour * HOUR)
    return {"type": type_, "messageId": f"{type_} {user} {hour}", "timestamp": at, "userId": user, **fields}


def shop(job: Job) -> Job:
    calls = [call("track", hour, f"u{hour % 4}", event="A") for hour in range(12)]
    calls += [call("identify", 13, "u1", traits={"plan": "pro"}), call("identify", 13, "u2", traits={"plan": "free"})]
    job.take_all(decode_all(calls))
    return job


@pytest.fixture
def job(store: Store) -> Job:
    return shop(Job(SHOP, store))


LATER = START + 20 * HOUR


def test_what_was_planted_is_found_with_its_reason_and_nothing_else(job: Job) -> None:
    assert job.audit(LATER) == Audit(Counter(agree=4))
    job.plant("u0", "pros", member=True)
    job.plant("u1", "both", member=False)
    done = job.audit(LATER)
    assert done.outcomes == {"agree": 2, "differ": 2}
    assert sorted(done.differences, key=lambda each: each.user) == [
        Difference("u0", "pros", live=True, at=LATER, reason="membership"),
        Difference("u1", "both", live=False, at=LATER, reason="membership"),
    ]
    assert done.reasons == {"membership": 2}


def test_an_event_that_the_archive_has_lost_is_found_by_its_condition(job: Job) -> None:
    row = job.store.read_users(["u2"])["u2"]
    job.store.delete_user("u2", [], [])
    job.store.write_users([row])
    condition = ("event: A, count: {at_least: 2}, within: 2d",)
    assert job.audit(LATER).differences == [
        Difference("u2", "buyers", live=True, at=LATER, reason="condition", conditions=condition)
    ]


def test_only_so_many_differences_are_listed_and_all_are_counted(job: Job) -> None:
    for number in range(4):
        job.plant(f"u{number}", "reached", member=True)
    done = job.audit(LATER, most=3, at_once=2)
    assert (len(done.differences), done.reasons, done.outcomes) == (3, {"membership": 4}, {"differ": 4})


def test_fewer_are_read_together_where_they_have_many_events(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    scan = job.store.scan_archive

    def scan_archive(first: str, last: str) -> Iterator[EventRow]:
        asked.append((first, last))
        return scan(first, last)

    monkeypatch.setattr(job.store, "scan_archive", scan_archive)
    assert job.audit(LATER, at_once=2) == job.audit(LATER, at_once=2, events_at_once=3)
    assert [first == last for first, last in asked] == [False, False, False, True, True]


def test_a_few_are_read_first_and_then_more_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows before how many events they have."""
    job, asked = Job(SHOP), list[int]()
    names = [f"u{number:03}" for number in range(130)]
    job.take_all(decode_all([call("track", 1, name, event="A") for name in names]))
    scan = job.store.scan_archive

    def scan_archive(first: str, last: str) -> Iterator[EventRow]:
        asked.append(names.index(last) - names.index(first) + 1)
        return scan(first, last)

    monkeypatch.setattr(job.store, "scan_archive", scan_archive)
    assert job.audit(LATER).outcomes == {"agree": len(names)}
    assert asked == [10, 100, 20]


def test_each_is_judged_at_the_time_that_is_asked_or_at_its_clock(job: Job) -> None:
    job.take_all(decode_all([call("track", 100, "u3", event="A")]))
    job.plant("u3", "pros", member=True)
    assert job.audit(START + 15 * HOUR).differences[0].at == START + 100 * HOUR
    assert job.audit(START + 90 * DAY).differences[0].at == START + 90 * DAY


class Moving:
    """A store in which a live job goes on while it is read: so often with a user's archive."""

    def __init__(self, job: Job, times: int) -> None:
        self.job, self.left = job, times

    def scan_archive(self, first: str, last: str) -> Iterator[EventRow]:
        yield from self.job.store.scan_archive(first, last)
        self.go_on()

    def scan_events(self, user: str) -> Iterator[EventRow]:
        yield from self.job.store.scan_events(user)
        if user == "u1":
            self.go_on()

    def go_on(self) -> None:
        if self.left:
            self.left -= 1
            self.job.take_all(decode_all([call("identify", 30 + self.left, "u1", traits={"plan": "free"})]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job.store, name)


@pytest.mark.parametrize(("times", "outcomes"), [(1, {"agree": 4}), (2, {"agree": 3, "moving": 1})])
def test_who_moves_is_tried_once_more(job: Job, times: int, outcomes: dict[str, int]) -> None:
    found: Any = Moving(job, times)
    assert audit(found, SHOP, LATER).outcomes == outcomes


def test_a_row_whose_writer_died_does_not_count_yet(job: Job) -> None:
    [row] = [row for row in job.store.read_events("u1") if row.type == "identify"]
    version = job.store.read_users(["u1"])["u1"].version
    payload = row.payload.replace(b'"pro"', b'"free"')
    lost = {"time": row.time + HOUR, "arrival": row.arrival + HOUR, "id": "not applied", "payload": payload}
    for written in (version, version + 1):  # another message may have got the version since then
        job.store.write_events([msgspec.structs.replace(row, **lost, version=written)])
        assert job.audit(LATER).outcomes == {"agree": 4}


def test_who_waits_for_a_seed_or_was_judged_by_others_is_not_compared(job: Job) -> None:
    assert audit(job.store, compile_plain({"segments": {}}), LATER).outcomes == {"other_definitions": 4}
    first = release_of(OLD)
    release = publish(first, NEW, START + 20 * HOUR, START + 21 * HOUR)
    other = Job(compiled(first), SqliteStore(":memory:"))
    other.take_all(decode_all([call("track", hour, "u0", event="A") for hour in range(3)]))
    other.definitions = compiled(release)
    assert other.audit(START + 30 * HOUR).outcomes == {"warming": 1}
    for payload in archive_payloads(other.store, other.definitions, {START + 21 * HOUR}, Seeding()):
        for item in decode_control(payload, START + 22 * HOUR)[1]:
            other.take("u0", item)
    assert other.audit(START + 30 * HOUR).outcomes == {"agree": 1}


def test_segments_without_a_columnar_form_are_left_out() -> None:
    asked = compile_plain(
        {
            "segments": {
                "ended": {"members": {"event": "Session Ended"}},
                "never": {"members": {"not": {"segment": "ended"}}},
                "a": {"members": {"event": "A"}},
            }
        }
    )
    assert list(columnar_segments(asked)) == ["a"]
