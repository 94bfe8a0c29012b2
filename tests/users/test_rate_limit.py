"""Ids that are not one person are set aside: counted, kept as dead letters, the same in both shells, and nobody else's
business."""

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core import DAY, HOUR, MINUTE, START, compile_plain, of_type, outcomes, run_bounded, texts_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shells import bounded, one_by_one, streamed, track
from strength import examples

from transforms.events.event import Event
from transforms.events.live.inflight import InFlight
from transforms.users.advance import fold
from transforms.users.effects import Account, Forward
from transforms.users.user import Merge, User
from transforms.users.write_batch import Handles, WriteBatch

PLAIN: dict[str, Any] = {"segments": {"seen": {"members": {"event": "Viewed"}}}}
TEXTS, DEFINITIONS = texts_of(PLAIN), compile_plain(PLAIN)
MOST = 1_000
#: The start of a minute.
BEGIN = START - START % MINUTE - START


def burst(count: int, at: int = BEGIN, **fields: Any) -> list[Event]:
    """So many messages of one minute."""
    return [track("Viewed", at + number * 1000, f"m{at + number}", **fields) for number in range(count)]


def refused(effects: list[Any]) -> list[str]:
    return [account.message for account in of_type(Account, effects) if account.cause == "hot_id"]


def test_a_thousand_messages_a_minute_and_no_more() -> None:
    events = [*burst(MOST + 5), *burst(3, BEGIN + MINUTE)]
    user, effects = fold(User("u1"), events, DEFINITIONS)
    assert refused(effects) == [event.id for event in events[MOST : MOST + 5]]
    (first, *_) = [account for account in of_type(Account, effects) if account.cause]
    assert (first.outcome, first.event) == ("dead_letter", events[MOST])
    assert sum(ends == ["applied"] for ends in outcomes(effects).values()) == MOST + 3
    assert user.rate_window[1] == 3


def test_duplicates_history_receipts_and_deletions_are_not_too_many() -> None:
    again = [event for event in burst(600) for _ in range(3)]
    _, effects = fold(User("u1"), again, DEFINITIONS)
    assert refused(effects) == []
    _, effects = fold(User("u1"), burst(1200, historical=True), DEFINITIONS)
    assert refused(effects) == []
    full, _ = fold(User("u1"), burst(MOST), DEFINITIONS)
    at = START + BEGIN + MINUTE - 1
    for free in (Event("r", "receipt", "Push Opened", at, at, "u1"), Event("d", "delete", "", at, at, "u1")):
        _, effects = fold(full, [free], DEFINITIONS)
        assert outcomes(effects) == {free.id: ["applied"]}


def test_what_was_set_aside_may_come_again_later() -> None:
    full, _ = fold(User("u1"), burst(MOST + 1), DEFINITIONS)
    late = msgspec.structs.replace(burst(MOST + 1)[-1], arrival=START + BEGIN + HOUR)
    _, effects = fold(full, [late], DEFINITIONS)
    assert outcomes(effects) == {late.id: ["applied"]}


@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_is_set_aside_under_the_limit_in_whatever_order(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, MOST), min_size=1, max_size=3))
    events = [event for minute, size in enumerate(sizes) for event in burst(size, BEGIN + minute * MINUTE)]
    shuffled = list(events)
    data.draw(st.randoms(use_true_random=False)).shuffle(shuffled)
    # Beyond 512 messages a repetition is not known as one.
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=5)) if len(events) <= 512 else []
    _, effects = fold(User("u1"), [*shuffled, *repeated], DEFINITIONS)
    assert refused(effects) == []


def named(number: int, at: int, anonymous: str = "kiosk") -> Event:
    return Event(f"i{number} {at}", "identify", "", START + at, START + at, f"u{number}", anonymous)


def test_an_anonymous_id_of_more_than_twenty_users_is_set_aside_for_good() -> None:
    """A device of twenty people is one; with the next one it has become something else."""
    events = [named(number % 20, number) for number in range(40)]
    _, effects = run_bounded(events, DEFINITIONS, START + DAY)
    assert refused(effects) == []
    later = [
        named(20, 100),
        named(3, 101),
        Event("seen", "track", "Viewed", START + 102, START + 102, anonymous="kiosk"),
        Event("alias", "alias", "", START + 103, START + 103, "u5", previous="kiosk"),
        Event("own", "track", "Viewed", START + 104, START + 104, "u3"),
        Event("past", "track", "Viewed", START + 105, START + 105, anonymous="another device"),
        named(3, 106, "another device"),
    ]
    users, effects = run_bounded([*events, *later], DEFINITIONS, START + DAY)
    assert refused(effects) == ["i20 100", "i3 101", "seen", "alias"]
    assert {len(ends) for ends in outcomes(effects).values()} == {1}
    assert "u20" not in users
    assert users["u3"].merged == ("~another device",)


def test_the_past_that_is_handed_over_stays_the_same() -> None:
    """However many users follow: a merge that differed would not be the same merge."""
    seen = Event("seen", "track", "Viewed", START, START, anonymous="kiosk")
    pasts = []
    user = User("~kiosk")
    for number, at in ((0, 1), (1, 2), (2, 3), (0, 4)):
        user, effects = fold(user, [seen, named(number, at)] if at == 1 else [named(number, at)], DEFINITIONS)
        pasts += [forward.input for forward in of_type(Forward, effects) if isinstance(forward.input, Merge)]
    assert len(pasts) == 2
    assert pasts[0] == pasts[1]


def test_a_live_bundle_gives_its_handles_to_the_dead_letters(caplog: pytest.LogCaptureFixture) -> None:
    events = [msgspec.structs.replace(event, handle=f"h{number}") for number, event in enumerate(burst(MOST + 2))]
    batch = WriteBatch(DEFINITIONS, None, in_flight=InFlight())
    batch.apply(User("u1"), list(events))
    with caplog.at_level(logging.WARNING):
        results = list(batch.flush())
    (handles,) = [result.handles for result in results if isinstance(result, Handles)]
    assert len(handles) == MOST
    assert [result.event.handle for result in results if isinstance(result, Account) and result.event] == [
        f"h{MOST}",
        f"h{MOST + 1}",
    ]
    assert (("accounts", ("hot_id", "dead_letter"), 0), 2) in results
    (warning,) = caplog.messages
    assert '"u1" (2)' in warning
    assert list(batch.flush()) == []
    assert len(caplog.messages) == 1


def test_both_shells_set_the_same_aside(tmp_path: Path) -> None:
    events = [named(number, number) for number in range(22)] + [track("Viewed", 30, user="u1")]
    (tmp_path / "bounded").mkdir()
    for found in (bounded(tmp_path / "bounded", events, TEXTS), streamed(tmp_path / "live", one_by_one(events), TEXTS)):
        assert found.set_aside == [("i20 20", "hot_id"), ("i21 21", "hot_id")]
        assert found.summary.by_labels("accounts", "outcome", "cause")["dead_letter"] == {"hot_id": 2}
        assert found.adds_up(len(events))


def test_without_a_store_an_alias_of_two_users_is_set_aside(tmp_path: Path) -> None:
    """There is no way back by which one could become the other. An anonymous id is another thing."""
    events = [
        track("Viewed", 0, "a"),
        track("Viewed", 0, "b", user="u2"),
        Event("two users", "alias", "", START + 1, START + 1, "u1", previous="u2"),
        Event("c", "track", "Viewed", START, START, anonymous="a1"),
        Event("anonymous", "alias", "", START + 2, START + 2, "u1", previous="a1"),
        Event("again", "alias", "", START + 3, START + 3, "u1", previous="a1"),
        Event("to one", "alias", "", START + 4, START + 4, "u1", previous="a2"),
        Event("to another", "alias", "", START + 5, START + 5, "u2", previous="a2"),
    ]
    found = bounded(tmp_path, events, TEXTS, stored=False)
    assert found.set_aside == [(name, "unsupported") for name in ("to another", "to one", "two users")]
    ended = found.summary.by_labels("accounts", "outcome", "cause")
    assert (ended["applied"], ended["dead_letter"]) == ({"": 5}, {"unsupported": 3})
    assert found.adds_up(len(events))
