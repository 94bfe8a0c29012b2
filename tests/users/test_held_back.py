"""What a bundle sends on by itself holds its acknowledgements back: what caused it does not come again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from core import MINUTE, START, compile_plain

from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.storage.open import open_store
from transforms.storage.store import Store
from transforms.users.effects import Forward
from transforms.users.user import Input, Merge, TokenReassigned
from transforms.users.write_batch import Handles, WriteBatch, open_users

DEFINITIONS = compile_plain({"segments": {"active": {"members": {"event": "Viewed", "within": "2h"}}}})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:{tmp_path / 'store.db'}")
    yield opened
    opened.close()


IN_FLIGHT = InFlight()


class Broker:
    """Messages as a live source gives them out; what is acknowledged is noted."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []

    def event(self, name: str, minute: int, user: str | None, **more: object) -> Event:
        at, handle = START + minute * MINUTE, IN_FLIGHT.add(self.acknowledged.extend, name)
        fields = {"type": "track", "name": "Viewed", **more}
        return Event(id=name, time=at, arrival=at, user=user, handle=handle, **fields)  # type: ignore[arg-type]


def passed_on(store: Store, key: str, *inputs: Input) -> list[Input]:
    """One bundle of one user. What it gives out as accounted for is acknowledged; what it sends on is returned."""
    batch = WriteBatch(DEFINITIONS, store, in_flight=IN_FLIGHT)
    batch.apply(open_users(store, [key])[key], list(inputs))
    results = list(batch.flush())
    IN_FLIGHT.settle(handle for each in results if isinstance(each, Handles) for handle in each.handles)
    return [each.input for each in results if isinstance(each, Forward)]


def arrive(*inputs: Input) -> None:
    IN_FLIGHT.settle(item.handle for item in inputs)


def test_a_bundle_that_sends_nothing_on_is_acknowledged_at_once(store: Store) -> None:
    broker = Broker()
    assert passed_on(store, "ada", broker.event("m1", 0, "ada"), broker.event("m2", 1, "ada")) == []
    assert broker.acknowledged == ["m1", "m2"]


def test_an_alias_waits_for_the_past_that_it_hands_over(store: Store) -> None:
    broker = Broker()
    alias = broker.event("m2", 1, "new", type="alias", previous="old")
    (past,) = passed_on(store, "old", broker.event("m1", 0, "old"), alias)
    assert isinstance(past, Merge)
    assert broker.acknowledged == []
    arrive(past)
    assert sorted(broker.acknowledged) == ["m1", "m2"]


def test_an_identify_waits_for_the_past_of_its_visitor(store: Store) -> None:
    """The call itself goes on too, and may be accounted for before the past arrives."""
    broker = Broker()
    identify = broker.event("m2", 1, "ada", type="identify", anonymous="a1")
    past, event = passed_on(store, "~a1", broker.event("m1", 0, None, anonymous="a1"), identify)
    assert isinstance(past, Merge)
    arrive(event)
    assert broker.acknowledged == []
    arrive(past)
    assert sorted(broker.acknowledged) == ["m1", "m2"]


def test_a_registration_waits_until_who_had_the_token_can_be_told(store: Store) -> None:
    broker = Broker()
    phone = {"device": {"token": "phone", "type": "ios"}}
    passed_on(store, "ada", broker.event("m1", 0, "ada", type="identify", context=phone))
    (told,) = passed_on(store, "bob", broker.event("m2", 1, "bob", type="identify", context=phone))
    assert isinstance(told, TokenReassigned)
    assert broker.acknowledged == ["m1"]
    arrive(told)
    assert broker.acknowledged == ["m1", "m2"]


def test_a_past_that_comes_again_says_again_whose_its_tokens_are(store: Store) -> None:
    """A process may have died after it wrote the user and before it told who had the token."""
    broker = Broker()
    phone = {"device": {"token": "phone", "type": "ios"}}
    identify = {"type": "identify", "context": phone}
    alias = broker.event("m3", 3, "new", type="alias", previous="old")
    (past,) = passed_on(store, "old", broker.event("m1", 0, "old", **identify), alias)
    passed_on(store, "other", broker.event("m2", -1, "other", **identify))
    for _ in range(2):
        told = [item for item in passed_on(store, "new", past) if isinstance(item, TokenReassigned)]
        assert [item.token for item in told] == ["phone"]
