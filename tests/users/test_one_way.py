"""Handles that any worker may acknowledge: of the outputs of a message only one carries its handle."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from core import MINUTE, START, compile_plain
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.dead_letter import DeadLetter
from transforms.events.event import Event
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.effects import Account, Forward
from transforms.users.one_way import last_alone, one_way
from transforms.users.user import Input, Merge, Wake
from transforms.users.write_batch import Handles, WriteBatch, open_users

DEFINITIONS = compile_plain({"segments": {"active": {"members": {"event": "Viewed", "within": "2h"}}}})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def event(name: str, minute: int = 0, user: str | None = None, **more: object) -> Event:
    at = START + minute * MINUTE
    fields = {"type": "track", "name": "Viewed", "handle": f"s {name}", **more}
    return Event(id=name, time=at, arrival=at, user=user, **fields)  # type: ignore[arg-type]


def bundle(store: Store, key: str, *inputs: Input) -> tuple[list[str], list[Input]]:
    """One bundle of one user: the handles of what ended there, and what it sends on."""
    batch = WriteBatch(DEFINITIONS, store, handles_go_one_way=True)
    batch.apply(open_users(store, [key])[key], list(inputs))
    results = list(batch.flush())
    ended = [handle for each in results if isinstance(each, Handles) for handle in each.handles]
    ended += [each.event.handle for each in results if isinstance(each, Account) and each.event is not None]
    ended += [each.handle for each in results if isinstance(each, DeadLetter)]
    return ended, [each.input for each in results if isinstance(each, Forward)]


def test_what_ends_at_its_user_is_given_out_with_its_handle(store: Store) -> None:
    assert bundle(store, "ada", event("m1", user="ada"), event("m2", user="ada")) == (["s m1", "s m2"], [])


def test_a_repetition_ends_with_its_own_handle(store: Store) -> None:
    again = event("m1", user="ada", handle="s again")
    assert bundle(store, "ada", event("m1", user="ada"), again) == (["s m1", "s again"], [])


def test_what_a_visitor_passes_on_carries_its_handle_and_the_past_none(store: Store) -> None:
    bundle(store, "~v1", event("m1", anonymous="v1"))
    identify = event("m2", 1, user="ada", type="identify", anonymous="v1")
    ended, passed = bundle(store, "~v1", identify)
    assert ended == []
    assert {type(each): each.handle for each in passed} == {Merge: "", Event: "s m2"}


def test_an_alias_ends_at_the_former_user_and_its_past_has_no_handle(store: Store) -> None:
    bundle(store, "old", event("m1", user="old"))
    ended, passed = bundle(store, "old", event("m2", 1, user="new", type="alias", previous="old"))
    assert ended == ["s m2"]
    assert [(type(each), each.handle) for each in passed] == [(Merge, "")]


def test_of_both_halves_of_an_alias_the_one_that_has_its_account_carries_the_handle(store: Store) -> None:
    alias = event("m1", user="new", type="alias", anonymous="v1", previous="old")
    ended, passed = bundle(store, "~v1", alias)
    assert ended == []
    carried = {each.previous: each.handle for each in passed if isinstance(each, Event)}
    assert carried == {"old": "s m1", None: ""}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=6),
    st.lists(st.tuples(st.sampled_from(["account", "letter", "forward"]), st.sampled_from("abc")), max_size=8),
)
def test_every_handle_goes_one_way(came: list[tuple[str, bool]], made: list[tuple[str, str]]) -> None:
    inputs = [event(name, user="ada", handle=f"s {name}" if handled else "") for name, handled in came]
    handles = {each.id: each.handle for each in inputs if each.handle}
    effects: list[Account | Forward] = []
    for kind, name in made:
        goes = event(name, user="ada", handle=handles.get(name, ""))
        if kind == "account":
            effects.append(Account("applied", name))
        else:
            effects.append(Forward("bob", goes) if kind == "forward" else Account("dead_letter", name, "c", goes))
    kept, ended = one_way(inputs, effects)
    ways = Counter(ended)
    ways.update(each.input.handle for each in kept if isinstance(each, Forward) and each.input.handle)
    ways.update(each.event.handle for each in kept if isinstance(each, Account) and each.event and each.event.handle)
    assert ways == Counter(dict.fromkeys(handles.values(), 1))
    assert len(kept) == len(effects)


def test_of_several_inputs_of_a_message_the_last_carries_its_handle() -> None:
    inputs = [Wake(1, handle="s m"), Wake(2, handle="s m")]
    assert [each.handle for each in last_alone(inputs)] == ["", "s m"]
