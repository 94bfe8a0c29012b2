"""Who is deleted goes with every id that was merged into them, whatever a job holds of it, and however word comes."""

from pathlib import Path
from random import Random
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from core import DAY, HOUR, MINUTE, START, Loop, compile_plain, of_type, outcomes, routed, texts_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shells import append, lines
from shop import SHOP
from strength import examples

from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.storage.open import open_store
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.advance import advance
from transforms.users.control import decode_control, encode_inputs_control
from transforms.users.effects import Account, Deleted, Forward
from transforms.users.transforms import AdvanceUnbounded
from transforms.users.user import Input, Merge, Owner, OwnerDeleted, User, decode_inputs, decode_user, encode_inputs
from transforms.users.write_batch import WriteBatch

CAMPAIGNS = compile_plain(SHOP)
#: What a tombstone may hold: whose it was, the deletion, and bookkeeping that says nothing of anybody.
KEPT = {"id", "version", "clock", "definitions_hash", "seen", "deleted", "deleted_at", "owner", "former"}
GONE = START + DAY


def remains(user: User) -> dict[str, Any]:
    """What is left of a user beside a tombstone."""
    new = msgspec.structs.asdict(User(user.id))
    said = {name: value for name, value in msgspec.structs.asdict(user).items() if name not in KEPT}
    return {name: value for name, value in said.items() if not value == new[name]}  # noqa: SIM201 - packed leaves know ==


def ordered(at: int, user: str | None = None, anonymous: str | None = None) -> Event:
    return Event(f"ordered {user or anonymous} {at}", "track", "Ordered", START + at, START + at, user, anonymous)


def identify(at: int, visitor: str, user: str) -> Event:
    traits = {"email": f"{user}@example.com"}
    return Event(f"identify {at}", "identify", "", START + at, START + at, user, visitor, traits=traits)


def alias(at: int, previous: str, user: str) -> Event:
    return Event(f"alias {previous} {user} {at}", "alias", "", START + at, START + at, user=user, previous=previous)


def deletion(user: str, at: int = GONE) -> Event:
    return Event(f"delete {user} {at}", "delete", "", at, at, user=user)


def told(user: str = "u1", at: int = GONE) -> OwnerDeleted:
    return OwnerDeleted(at, user, at)


def held(*events: Event, key: str) -> User:
    """What a job holds of an id."""
    user = User(key)
    for event in events:
        user, _ = advance(user, event, CAMPAIGNS)
    return user


VISITOR = held(ordered(0, anonymous="a1"), identify(HOUR, "a1", "u1"), key="~a1")
PREVIOUS = held(ordered(0, user="u2"), alias(HOUR, "u2", "u1"), key="u2")


@pytest.mark.parametrize("before", [VISITOR, PREVIOUS], ids=["visitor", "user"])
def test_what_a_job_holds_of_a_merged_id_becomes_a_tombstone(before: User) -> None:
    user, effects = advance(before, told(), CAMPAIGNS)
    assert remains(user) == {}
    assert (user.owner, user.deleted, user.deleted_at) == (before.owner, GONE, GONE)
    (deleted,) = of_type(Deleted, effects)
    assert (deleted.user, deleted.users, deleted.time) == (before.id, (before.id,), GONE)
    again, effects = advance(user, told(), CAMPAIGNS)
    assert effects == []
    assert msgspec.structs.replace(again, version=user.version) == user


def test_a_deletion_tells_each_merged_id() -> None:
    past = Merge(START + HOUR, msgspec.structs.replace(VISITOR, owner=None))
    user = held(ordered(0, user="u1"), key="u1")
    user, _ = advance(user, past, CAMPAIGNS)
    _, effects = advance(user, deletion("u1"), CAMPAIGNS)
    assert of_type(Forward, effects) == [Forward("~a1", told())]


def test_a_past_that_comes_after_the_deletion_that_took_it_goes_too() -> None:
    """It was on its way: the deleted user had not heard of that id."""
    user, _ = advance(User("u1"), deletion("u1"), CAMPAIGNS)
    past = Merge(START + HOUR, msgspec.structs.replace(VISITOR, owner=None))
    user, effects = advance(user, past, CAMPAIGNS)
    assert remains(user) == {}
    assert of_type(Forward, effects) == [Forward("~a1", told())]


def test_an_id_that_has_gone_to_somebody_else_stays_theirs() -> None:
    before, _ = advance(VISITOR, identify(2 * HOUR, "a1", "u9"), CAMPAIGNS)
    user, _ = advance(before, told(), CAMPAIGNS)
    assert remains(user) == {}
    assert (user.owner.first, user.owner.latest) == ("u1", "u9") if user.owner else False
    _, effects = advance(user, ordered(2 * DAY, anonymous="a1"), CAMPAIGNS)
    assert [forward.user for forward in of_type(Forward, effects)] == ["u9"]


def test_an_id_of_which_nothing_is_known_goes_on_to_who_was_deleted() -> None:
    user, _ = advance(User("~a1"), told(), CAMPAIGNS)
    assert user.owner == Owner("u1", GONE, "u1")
    assert remains(user) == {}


def test_an_older_deletion_takes_nothing_from_what_began_since() -> None:
    began = held(deletion("u1"), ordered(2 * DAY, user="u1"), key="u1")
    assert msgspec.structs.replace(advance(began, told("u2"), CAMPAIGNS)[0], version=began.version) == began
    fresh = held(ordered(2 * DAY, user="u1"), key="u1")
    assert msgspec.structs.replace(advance(fresh, told("u2"), CAMPAIGNS)[0], version=fresh.version) == fresh


def test_word_of_a_deletion_is_accounted_for_as_control() -> None:
    payload = encode_inputs_control("~a1", [told()])
    (item,) = decode_control(payload, 0)[1]
    _, effects = advance(VISITOR, msgspec.structs.replace(item, control=True), CAMPAIGNS)
    assert of_type(Account, effects) == [Account("applied", item.id, control=True)]


CALLS: list[Event] = [
    *(ordered(at * MINUTE, anonymous="a1") for at in (0, 90)),
    identify(HOUR, "a1", "u1"),
    *(ordered(at * MINUTE, user=user) for at in (5, 95) for user in ("u1", "u2", "u3")),
    identify(2 * HOUR, "a2", "u2"),
    ordered(100 * MINUTE, anonymous="a2"),
    alias(3 * HOUR, "u2", "u1"),
    alias(4 * HOUR, "u3", "u2"),
]
some = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(st.lists(st.sampled_from(CALLS), unique_by=lambda each: each.id), st.integers(0, 9999), st.floats(0, 0.6))
def test_nothing_is_left_whatever_comes_first_and_again(calls: list[Event], seed: int, again: float) -> None:
    """The deletion comes last of all and may overtake each of them; then come the calls once more, as retries do."""
    calls = [*CALLS[:2], *calls, *(call for call in CALLS if call.type != "track")]
    loop = Loop(CAMPAIGNS, Random(seed), again=again)
    loop.deliver(routed([*calls, deletion("u1")]))
    loop.deliver(routed([msgspec.structs.replace(call, arrival=GONE + HOUR) for call in calls if call.type == "track"]))
    # Calls that came later count towards how many there were, and whom they named.
    left = {key: remains(user).keys() - {"owners", "rate_window"} for key, user in loop.users.items()}
    assert {key: names for key, names in left.items() if names} == {}
    assert loop.users["u1"].deleted == GONE


class Job:
    """What a live job holds of each key, with the rows that it writes."""

    def __init__(self) -> None:
        self.store = SqliteStore(":memory:")
        self.states: dict[str, User] = {}

    @property
    def rows(self) -> dict[str, User]:
        return {row.user: decode_user(row.state) for row in self.store.scan_users()}

    def take(self, key: str, *inputs: Input) -> list[Forward]:
        batch = WriteBatch(CAMPAIGNS, self.store, in_flight=InFlight())
        self.states[key], _ = batch.apply(self.states.get(key, User(key)), list(inputs))
        return [result for result in batch.flush() if isinstance(result, Forward)]

    def deliver(self, *forwards: Forward) -> None:
        for forward in forwards:
            self.deliver(*self.take(forward.user, forward.input))


@pytest.mark.parametrize("between", [False, True])
def test_the_row_is_a_tombstone_too_and_stays_one(between: bool) -> None:
    job = Job()
    job.deliver(*job.take("~a1", ordered(0, anonymous="a1"), identify(HOUR, "a1", "u1")))
    going = job.take("u1", deletion("u1"))
    if between:  # a call of the visitor, before word comes, writes what the job still holds
        job.deliver(*job.take("~a1", ordered(2 * DAY, anonymous="a1")))
    job.deliver(*going, *going)
    job.deliver(*job.take("~a1", ordered(3 * DAY, anonymous="a1")))
    for users in (job.states, job.rows):
        assert remains(users["~a1"]) == {}
        assert users["~a1"].deleted == GONE
    assert job.rows["u1"].created == START + (2 + (not between)) * DAY
    assert job.store.read_events("~a1") == []


def test_a_deletion_that_comes_again_after_a_crash_tells_nothing_wrong() -> None:
    """Rows were written, and nothing was given out: a new process has the rows alone, which are tombstones."""
    job = Job()
    job.deliver(*job.take("~a1", ordered(0, anonymous="a1"), identify(HOUR, "a1", "u1")))
    job.take("u1", deletion("u1"))
    job.states = job.rows
    job.deliver(*job.take("u1", deletion("u1")))
    job.deliver(*job.take("~a1", ordered(3 * DAY, anonymous="a1")))
    assert remains(job.states["~a1"]) == remains(job.rows["~a1"]) == {}


def test_a_past_that_is_handed_over_again_heals_what_word_was_lost() -> None:
    job = Job()
    job.deliver(*job.take("~a1", ordered(0, anonymous="a1"), identify(HOUR, "a1", "u1")))
    job.take("u1", deletion("u1"))  # and what it gives out is lost
    job.deliver(*job.take("~a1", identify(2 * DAY // MINUTE * MINUTE, "a1", "u1")))
    assert remains(job.states["~a1"]) == remains(job.rows["~a1"]) == {}
    assert job.states["u1"].created == START + 2 * DAY


def test_state_of_the_unbounded_shell_is_a_tombstone_from_then_on(tmp_path: Path) -> None:
    """The visitor's own state and row, and the way that word goes from the step of users with a user id."""
    url = f"sqlite:{tmp_path / 'store.db'}"
    open_store(url).close()
    visitors: list[tuple[str, Input]] = [
        ("~a1", ordered(0, anonymous="a1")),
        ("~a1", identify(HOUR, "a1", "u1")),
        ("~a1", told()),
        ("~a1", ordered(2 * DAY, anonymous="a1")),
    ]
    stream, users = TestStream(coder=beam.coders.PickleCoder()), [("u1", deletion("u1"))]
    past = Merge(START + HOUR, msgspec.structs.replace(VISITOR, owner=None))
    for key, item in (*visitors, ("u1", past), *users):
        keyed = (key, encode_inputs([item]))
        stream = stream.add_elements([TimestampedValue(keyed, Timestamp(micros=item.arrival))])
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        keyed = pipeline | stream.advance_watermark_to_infinity()
        advanced = keyed | AdvanceUnbounded(texts_of(SHOP), url)
        encoded = advanced.forwarded | beam.MapTuple(lambda key, data: (key, data.hex()))
        _ = encoded | beam.Map(append, str(tmp_path / "forwarded"))
    store = open_store(url)
    rows = {row.user: decode_user(row.state) for row in store.scan_users()}
    store.close()
    assert remains(rows["~a1"]) == {}
    assert rows["~a1"].deleted == GONE
    passed = lines(tmp_path / "forwarded", tuple[str, str])
    forwards = [(key, item) for key, data in passed for item in decode_inputs(bytes.fromhex(data))]
    assert ("~a1", told()) in forwards


def test_calls_of_before_are_deleted_when_they_come_again() -> None:
    user, _ = advance(PREVIOUS, told(), CAMPAIGNS)
    again = msgspec.structs.replace(ordered(0, user="u2"))
    _, effects = advance(user, again, CAMPAIGNS)
    assert outcomes(effects) == {again.id: ["deleted"]}


#: Bytes of them that running jobs, and topics, may hold.
WRITTEN: list[Input] = [
    OwnerDeleted(START, "u1", START - 1, handle="h6"),
    OwnerDeleted(START, "ü1", START, control=True),
]
GOLDEN = Path(__file__).parent.parent / "golden"


def test_word_of_a_deletion_is_read_and_written_as_ever() -> None:
    """As in `test_state_bytes.py`, which says what to do if this fails."""
    data = bytes.fromhex((GOLDEN / "user_state_inputs_owner_deleted.hex").read_text(encoding="ascii"))
    message = (GOLDEN / "control_owner_deleted.jsonl").read_bytes().rstrip()
    assert decode_inputs(data) == WRITTEN
    assert encode_inputs(WRITTEN) == data
    assert decode_control(message, START) == ("~a1", WRITTEN)
    assert encode_inputs_control("~a1", WRITTEN) == message
