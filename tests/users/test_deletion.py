"""Deletion deletes: what stays is a tombstone, and what is older than it never comes back."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, compile_plain, decode_all, of_type, outcomes, run_bounded, states_of
from generators import histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop import SHOP
from strength import examples

from transforms.campaigns.effects import Send
from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.events.kept.rows import kept
from transforms.storage.open import open_reader, open_store
from transforms.users.advance import fold
from transforms.users.effects import Deleted, Forward, Merged, SegmentLeft
from transforms.users.seen import Seen, hash_message
from transforms.users.user import Merge, User, decode_user, encode_user
from transforms.users.write_batch import WriteBatch

Plain = dict[str, Any]
CAMPAIGNS = compile_plain(SHOP)
some = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


#: What a tombstone may hold: when the user was deleted, and bookkeeping that says nothing of anybody.
KEPT = {"id", "version", "clock", "definitions_hash", "seen", "deleted", "deleted_at"}


def remains(user: User) -> dict[str, Any]:
    """What is left of a user beside a tombstone."""
    new = msgspec.structs.asdict(User(user.id))
    said = {name: value for name, value in msgspec.structs.asdict(user).items() if name not in KEPT}
    return {name: value for name, value in said.items() if not value == new[name]}  # noqa: SIM201 - packed leaves know ==


def delete(at: int, *, time: int | None = None, user: str = "u1") -> Event:
    return Event(f"delete {user} {at}", "delete", "", at if time is None else time, at, user=user)


@some
@given(st.data())
def test_nothing_but_a_tombstone_is_left(data: st.DataObject) -> None:
    events = decode_all(data.draw(histories()))
    at = max(event.arrival for event in events) + DAY
    late = [
        msgspec.structs.replace(event, id=f"late {event.id}", arrival=at + HOUR)
        for event in events
        if event.user == "u1" and event.type != "alias"
    ]
    users, effects = run_bounded([*events, delete(at), *late], CAMPAIGNS, at + 60 * DAY)
    assert remains(users["u1"]) == {}
    assert users["u1"].deleted == at
    assert {clock for _, clock in Seen(users["u1"].seen).items()} == {at}, "the deletion's own id and no other"
    ended = outcomes(effects)
    assert {outcome for event in late for outcome in ended[event.id]} <= {"deleted"}
    (deleted,) = of_type(Deleted, effects)
    pasts = sorted(merged.source for merged in of_type(Merged, effects) if merged.user == "u1")
    assert deleted.users == ("u1", *pasts)
    assert all(send.decided_at <= at for send in of_type(Send, effects) if send.user == "u1")


def test_what_came_after_begins_anew() -> None:
    def ordered(at: int) -> Event:
        return Event(f"ordered {at}", "track", "Ordered", START + at, START + at, user="u1")

    inputs = [ordered(HOUR - 1), delete(START + HOUR), ordered(2 * HOUR), ordered(HOUR)]
    user, _ = fold(User("u1"), inputs, CAMPAIGNS)
    assert user.created == START + 2 * HOUR
    assert {stamp[0] for state in states_of(user).values() for stamp in state.evidence} == {START + 2 * HOUR}
    assert {message_hash for message_hash, _ in Seen(user.seen).items()} == {
        hash_message(item.id) for item in inputs[1:]
    }
    assert user.deleted == START + HOUR


def test_an_older_deletion_is_itself_older_than_the_newest() -> None:
    _, effects = fold(User("u1"), [delete(START + HOUR), delete(START + DAY, time=START)], CAMPAIGNS)
    assert list(outcomes(effects).values()) == [["applied"], ["deleted"]]


def test_a_deletion_that_comes_again_takes_nothing_that_came_since() -> None:
    """Long after users have forgotten its id, as when a file is run again or a subscription is set back."""
    orders = [Event(f"o{at}", "track", "Ordered", START + at, START + at, user="u1") for at in (2 * HOUR, 3 * DAY)]
    gone = delete(START + HOUR)
    again = msgspec.structs.replace(gone, arrival=START + 4 * DAY)
    before, _ = fold(User("u1"), [gone, *orders], CAMPAIGNS)
    user, effects = fold(before, [again], CAMPAIGNS)
    assert outcomes(effects) == {gone.id: ["duplicate"]}
    assert of_type(Deleted, effects) == []
    assert (user.created, states_of(user)) == (before.created, states_of(before))


def test_every_segment_is_left() -> None:
    ordered = Event("o", "track", "Ordered", START, START, user="u1")
    user, _ = fold(User("u1"), [ordered], CAMPAIGNS)
    assert user.members
    _, effects = fold(user, [delete(START + HOUR)], CAMPAIGNS)
    left = of_type(SegmentLeft, effects)
    assert {change.segment for change in left} == set(user.members)
    assert {(change.cause, change.at) for change in left} == {("deleted", START + HOUR)}


def test_rows_of_the_user_and_of_merged_anonymous_ids_go(tmp_path: Path) -> None:
    """Through a store: a live bundle, then the deletion in another, then a look at every table."""
    device = {"device": {"token": "t1"}}
    events = [
        Event("a", "track", "Ordered", START, START, anonymous="a1", context=device),
        Event("i", "identify", "", START + 1, START + 1, user="u1", anonymous="a1", traits={"email": "u@example.com"}),
        Event("o", "track", "Ordered", START + 2, START + 2, user="u1"),
        Event("other", "track", "Ordered", START, START, user="u2"),
    ]
    store = open_store(f"sqlite:{tmp_path / 'store.db'}")
    users, effects = run_bounded(events, CAMPAIGNS, START + HOUR)
    batch = WriteBatch(CAMPAIGNS, store)
    for user in users.values():
        batch.add(user, encode_user(user), [effect for effect in effects if getattr(effect, "user", None) == user.id])
    list(batch.flush())
    assert {row.user for row in store.scan_users()} == {"u1", "u2", "~a1"}
    assert store.read_events("u1")
    assert store.read_identities("token", ["t1"])

    batch = WriteBatch(CAMPAIGNS, store)
    batch.apply(users["u1"], [delete(START + DAY)])
    list(batch.flush())
    left = {row.user: decode_user(row.state) for row in store.scan_users()}
    assert left.keys() == {"u1", "u2", "~a1"}
    assert remains(left["~a1"]).keys() == {"owner"}, "whose it was, so that its past begins nobody anew"
    assert left["~a1"].deleted == START + DAY
    assert store.read_events("u1") == store.read_events("~a1") == []
    assert store.read_ledger("u1") == []
    assert {row.user for segment in CAMPAIGNS.segments for row in store.scan_members(segment)} == {"u2"}
    for kind, value in (("token", "t1"), ("address", "u@example.com"), ("anonymous", "a1")):
        assert store.read_identities(kind, [value]) == {}, kind
    profile = msgspec.json.decode(store.read_users(["u1"])["u1"].profile)
    assert set(profile) == {"user", "deleted"}
    store.close()


@pytest.mark.parametrize("together", [True, False])
def test_letters_of_an_id_without_a_past_go_also_where_it_was_linked_just_now(tmp_path: Path, together: bool) -> None:
    url = f"sqlite:{tmp_path / 'store.db'}"
    store = open_store(url)
    letters = [DeadLetter(b'{"anonymousId":"%b"}' % id_, "s", "bad_time", "", START) for id_ in (b"a1", b"a2")]
    store.write_dead_letters([kept(letter, START) for letter in letters])
    batch = WriteBatch(CAMPAIGNS, store)
    batch.apply(User("~a1"), [Event("i", "identify", "", START, START, user="u1", anonymous="a1")])
    if not together:
        list(batch.flush())
        batch = WriteBatch(CAMPAIGNS, store)
    batch.apply(User("u1"), [delete(START + DAY)])
    list(batch.flush())
    assert store.read_identities("anonymous", ["a1"]) == {}
    store.close()
    reader = open_reader(url)
    assert [row.user for row in reader.page_dead_letters(10).rows] == ["~a2"]
    reader.close()


@pytest.mark.parametrize("late", [0, 30 * MINUTE, 2 * HOUR])
def test_a_past_that_was_deleted_is_not_handed_over_again(late: int) -> None:
    """Live, an anonymous id hands its past over at each identify by its owner; a late deletion took it all the same."""

    def identify(at: int) -> Event:
        return Event(f"i {at}", "identify", "", START + at, START + at, user="u1", anonymous="a1")

    ordered = Event("a", "track", "Ordered", START, START, anonymous="a1")
    _, effects = fold(User("~a1"), [ordered, identify(HOUR), identify(DAY)], CAMPAIGNS)
    first, again = [forward.input for forward in of_type(Forward, effects) if isinstance(forward.input, Merge)]
    gone = delete(START + 2 * HOUR, time=START + 2 * HOUR - late)
    user, effects = fold(User("u1"), [first, identify(HOUR), gone, again, identify(DAY)], CAMPAIGNS)
    assert user.created == START + DAY
    assert user.merged == ()
    assert not any(state.evidence for state in states_of(user).values())
    assert len(of_type(Merged, effects)) == 1
